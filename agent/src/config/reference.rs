//! `docs/configuration.md`: the table of options as a page.

use super::{
    env,
    options::{Opt, SECTIONS, Section},
    print,
    valid::Config,
};

const HEAD: &str = "\
# Configuration of wattrace

Strength rises: defaults, file, environment variables, flags. The file is TOML, by custom `/etc/wattrace/wattrace.toml`;
`wattrace check` says everything that is wrong with it at once, and `wattrace config --defaults` writes one to start from.
Unknown options are refused. An empty variable counts as none; of several variables the first that is set counts.
Durations in the file are written `10s` or `1m 30s`, sizes `64MiB` or `1GB`; in variables durations are milliseconds and
tables are `name=value,name=value`, percent-encoded.

\"SIGHUP\" says when a change takes effect: at once when the running agent gets that signal, or when it starts again.
";

/// The page, in Markdown.
pub fn reference() -> String {
    let others = env::OTHERS.map(|(name, help)| format!("| `{name}` | {help} |\n"));
    let sections: Vec<String> = SECTIONS.iter().map(section).collect();
    [
        HEAD,
        &sections.concat(),
        "\n## Other variables\n\n| variable | meaning |\n|---|---|\n",
        &others.concat(),
        "\n## A file with every option\n\n```toml\n",
        &print::defaults_file(),
        "```\n",
    ]
    .concat()
}

fn section(section: &Section) -> String {
    let defaults = print::values(&Config::default());
    let rows: Vec<String> = print::of_section(section.name)
        .map(|option| {
            let default = defaults.get(option.key).map(|value| format!("`{}`", print::toml(value)));
            row(option, default.as_deref().unwrap_or("–"))
        })
        .collect();
    format!("\n## `[{}]`\n\n{}\n\n{COLUMNS}{}", section.name, section.help, rows.concat())
}

const COLUMNS: &str = "\
| option | takes | default | variables | SIGHUP | meaning |
|---|---|---|---|---|---|
";

fn row(option: &Opt, default: &str) -> String {
    let variables: Vec<String> = option.variables.iter().map(|name| format!("`{name}`")).collect();
    let variables = if variables.is_empty() { "–".to_owned() } else { variables.join(", ") };
    let when = if option.reload { "at once" } else { "restart" };
    format!("| `{}` | {} | {default} | {variables} | {when} | {} |\n", option.name(), option.kind, option.help)
}
