//! `check`: says everything that is wrong with the configuration, or what is in force.

use std::{io::Write, path::Path, process::ExitCode};

use crate::{
    carbon::intensity,
    config::{self, Flags, Loaded, Variables},
};

/// Writes one line per mistake, or one line that says what is in force.
///
/// # Errors
///
/// Only those of `out`.
pub fn run(named: Option<&Path>, variables: &Variables, out: &mut impl Write) -> std::io::Result<ExitCode> {
    let file = config::file_to_read(named);
    match config::load(file, variables, &Flags::default()) {
        Ok(loaded) => match intensity::at_location(loaded.config.carbon.location.as_deref()) {
            Ok(_) => {
                writeln!(out, "{}", in_force(file, &loaded))?;
                Ok(ExitCode::SUCCESS)
            }
            // Of good form, but in no table: the agent would not start.
            Err(error) => {
                writeln!(out, "carbon.location: {error}")?;
                Ok(ExitCode::FAILURE)
            }
        },
        Err(mistakes) => {
            writeln!(out, "{mistakes}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

fn in_force(file: Option<&Path>, loaded: &Loaded) -> String {
    let file = file.map_or_else(|| "the defaults, no file".to_owned(), |file| file.display().to_string());
    let variables = if loaded.variables.is_empty() { "no variable".to_owned() } else { loaded.variables.join(", ") };
    let config = &loaded.config;
    let root = if config.agent.needs_root() { ", only as root" } else { "" };
    let mut outputs: Vec<String> = config.otlp.endpoint.iter().cloned().collect();
    outputs.extend(config.prometheus.listen.map(|address| format!("http://{address}/metrics")));
    let outputs = if outputs.is_empty() { "nowhere".to_owned() } else { outputs.join(" and ") };
    let interval = humantime::format_duration(config.agent.interval);
    format!("in force: {file}; {variables}; a reading every {interval}{root}, exported to {outputs}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, variables: &[(&str, &str)]) -> (ExitCode, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.toml");
        std::fs::write(&path, text).unwrap();
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut out = Vec::new();
        let code = run(Some(&path), &variables, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        (code, out.replace(&folder.path().display().to_string(), ""))
    }

    #[test]
    fn a_good_configuration_is_one_line() {
        let (code, line) = said(
            "agent.interval = \"5s\"\nprometheus.listen = \"127.0.0.1:9109\"\n",
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SERVICE_NAME", "")],
        );
        assert_eq!(code, ExitCode::SUCCESS);
        assert_eq!(
            line,
            "in force: /w.toml; OTEL_EXPORTER_OTLP_ENDPOINT; a reading every 5s, only as root, exported to \
             http://c:4318/v1/metrics and http://127.0.0.1:9109/metrics\n"
        );
        assert_eq!(said("", &[]).1, "in force: /w.toml; no variable; a reading every 15s, exported to nowhere\n");
    }

    #[test]
    fn every_mistake_is_a_line() {
        let (code, lines) =
            said("[agent]\nintervall = \"1s\"\n[carbon]\npue = 0.1\n", &[("OTEL_EXPORTER_OTLP_TIMEOUT", "1s")]);
        assert_eq!(code, ExitCode::FAILURE);
        let heads: Vec<&str> = lines.lines().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(heads, ["/w.toml:2", "/w.toml:4", "OTEL_EXPORTER_OTLP_TIMEOUT"]);
    }

    #[test]
    fn a_location_in_no_table_is_said() {
        let (code, line) = said("carbon.location = \"XX-NOWHERE\"", &[]);
        assert_eq!(code, ExitCode::FAILURE);
        assert!(line.starts_with("carbon.location: ") && line.contains("XX-NOWHERE"), "{line}");
    }
}
