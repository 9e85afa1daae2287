//! Connections on loopback, one after the other, by two of the workspace's own `talk`.

use anyhow::{Context, Result, ensure};

use crate::{
    bench::cgroup::Cgroup,
    shell::{self, Told},
};

/// Bytes that each side of a connection sends.
const BYTES: u32 = 100;

/// Two processes that talk to each other, until it is dropped.
pub(super) struct Pair {
    server: Told,
    client: Told,
    address: String,
    // After the processes that are in it.
    _cgroup: Cgroup,
}

impl Pair {
    pub(super) fn new() -> Result<Self> {
        let cgroup = Cgroup::new("wattrace-bench")?;
        let (mut server, client) = (talk(&cgroup)?, talk(&cgroup)?);
        let port = ask(&mut server, "listen here 127.0.0.1:0")?;
        Ok(Self { server, client, address: format!("127.0.0.1:{port}"), _cgroup: cgroup })
    }

    /// So many connections, from the first to the end of the last.
    pub(super) fn run(&mut self, connections: u64) -> Result<()> {
        self.server.tell(&format!("serve here {connections} {BYTES}"))?;
        ask(&mut self.client, &format!("storm {} {connections} {BYTES}", self.address))?;
        done(&self.server.answer()?).map(drop)
    }
}

fn talk(cgroup: &Cgroup) -> Result<Told> {
    let home = format!("in={}", cgroup.path().display());
    let mut talk = Told::start(shell::command(shell::built("release", "talk")).arg(home))?;
    let answer = talk.answer()?;
    ensure!(answer == "ready", "`talk` says {answer:?}");
    Ok(talk)
}

fn ask(talk: &mut Told, order: &str) -> Result<String> {
    talk.tell(order)?;
    done(&talk.answer()?)
}

/// What there is to tell of something that was done.
fn done(answer: &str) -> Result<String> {
    let rest = answer.strip_prefix("ok").with_context(|| format!("`talk` says {answer:?}"))?;
    Ok(rest.trim_start().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_what_was_done_or_an_error() {
        assert_eq!(done("ok 4711").unwrap(), "4711");
        assert_eq!(done("ok").unwrap(), "");
        assert_eq!(done("error 111").unwrap_err().to_string(), "`talk` says \"error 111\"");
    }
}
