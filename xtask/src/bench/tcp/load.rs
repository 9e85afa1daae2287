//! Connections on loopback, one after the other, by two of the workspace's own `talk`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::{
    bench::{cgroup::Cgroup, turns::Load},
    shell::{self, Told},
};

/// Bytes that each side of a connection sends.
const BYTES: u32 = 100;

/// Two processes that talk to each other, until it is dropped.
pub(super) struct Pair {
    server: Told,
    client: Told,
    address: String,
    connections: u32,
    // After the processes that are in it.
    cgroup: Cgroup,
}

impl Pair {
    /// Two that make so many connections at each run.
    pub(super) fn new(connections: u32) -> Result<Self> {
        let cgroup = Cgroup::new("wattrace-bench")?;
        let (mut server, client) = (talk(&cgroup)?, talk(&cgroup)?);
        let port = ask(&mut server, "listen here 127.0.0.1:0")?;
        Ok(Self { server, client, address: format!("127.0.0.1:{port}"), connections, cgroup })
    }
}

impl Load for Pair {
    fn operations(&self) -> u64 {
        u64::from(self.connections)
    }

    fn run(&mut self) -> Result<()> {
        let Self { server, client, address, connections, .. } = self;
        server.tell(&format!("serve here {connections} {BYTES}"))?;
        ask(client, &format!("storm {address} {connections} {BYTES}"))?;
        done(&server.answer()?).map(drop)
    }

    fn cpu(&self) -> Result<Option<Duration>> {
        self.cgroup.cpu().map(Some)
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
