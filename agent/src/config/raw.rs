//! The file as it is written: which options it names and where, whether their types fit. What the values
//! mean is [`super::valid`]'s.
//!
//! The table of options is walked by hand: serde stops at the first key it does not know, and a person
//! who corrects a file wants to know all that is wrong with it.

use std::{collections::BTreeMap, ops::Range, path::Path};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    options::{self, Kind, OPTIONS, Opt, SECTIONS},
    settings::{Mistake, Origin, Settings, Value},
};

/// Reads the text of a file; `path` is for messages only.
pub(super) fn read(path: &Path, text: &str, settings: &mut Settings, found: &mut Vec<Mistake>) {
    let mut file = File { path, text, settings, found };
    let (table, errors) = DeTable::parse_recoverable(text);
    // What the parser guesses behind a broken line is not what was written: complaints about it would mislead.
    if errors.is_empty() {
        file.sections(table.get_ref());
    }
    for error in errors {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        file.complain(&error.span().unwrap_or_default(), message);
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    settings: &'a mut Settings,
    found: &'a mut Vec<Mistake>,
}

impl File<'_> {
    fn origin(&self, span: &Range<usize>) -> Origin {
        let before = self.text.as_bytes().get(..span.start);
        let line = before.map(|before| before.split(|&byte| byte == b'\n').count());
        Origin::File { path: self.path.to_path_buf(), line }
    }

    fn complain(&mut self, span: &Range<usize>, text: String) {
        let origin = self.origin(span);
        self.found.push(Mistake { origin, text });
    }

    fn sections(&mut self, table: &DeTable<'_>) {
        for (name, content) in table {
            let Some(section) = SECTIONS.iter().find(|section| section.name == name.get_ref()) else {
                let text = unknown_section(name.get_ref());
                self.complain(&name.span(), text);
                continue;
            };
            match content.get_ref() {
                DeValue::Table(options) => self.options(section.name, options),
                other => {
                    let text =
                        format!("{name} is {}: it is a section, write [{name}]", typed(other), name = section.name);
                    self.complain(&content.span(), text);
                }
            }
        }
    }

    fn options(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            match options::find(&format!("{section}.{}", name.get_ref())) {
                Some(option) => self.option(option, value),
                None => self.complain(&name.span(), unknown_option(section, name.get_ref())),
            }
        }
    }

    fn option(&mut self, option: &'static Opt, spanned: &Spanned<DeValue<'_>>) {
        let taken = match (&option.kind, spanned.get_ref()) {
            (Kind::Number(_), DeValue::Integer(number)) => integer(number).map(Value::Number),
            (Kind::Number(_), DeValue::Float(number)) => number.as_str().parse().ok().map(Value::Number),
            (Kind::Whole(_), DeValue::Integer(number)) => {
                u64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::Whole)
            }
            (Kind::Switch, DeValue::Boolean(switch)) => Some(Value::Switch(*switch)),
            (Kind::Table, DeValue::Table(table)) => Some(Value::Table(self.texts(option.key, table))),
            (Kind::Duration(_) | Kind::Size(_) | Kind::OneOf(_) | Kind::Text(_), DeValue::String(text)) => {
                Some(Value::text(text))
            }
            _ => None,
        };
        if let Some(value) = taken {
            let origin = self.origin(&spanned.span());
            self.settings.set(option.key, value, origin);
        } else {
            let quotes = if matches!(option.kind, Kind::Duration(_) | Kind::Size(_) | Kind::Text(_)) {
                ", in quotes"
            } else {
                ""
            };
            let text = format!("{} is {}: give {}{quotes}", option.key, typed(spanned.get_ref()), option.kind);
            self.complain(&spanned.span(), text);
        }
    }

    fn texts(&mut self, key: &str, table: &DeTable<'_>) -> BTreeMap<String, String> {
        let mut taken = BTreeMap::new();
        for (name, value) in table {
            let (name, kind) = (name.get_ref(), typed(value.get_ref()));
            match value.get_ref() {
                DeValue::String(text) => drop(taken.insert(name.to_string(), text.to_string())),
                DeValue::Table(_) => {
                    self.complain(
                        &value.span(),
                        format!("{key} has a table at {name:?}: put names with dots into quotes"),
                    );
                }
                _ => self.complain(&value.span(), format!("{key} has {kind} at {name:?}: give a text, in quotes")),
            }
        }
        taken
    }
}

fn integer(number: &toml::de::DeInteger<'_>) -> Option<f64> {
    // Beyond 64 bits every range is left anyway.
    i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64)
}

fn typed(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    let article = if name.starts_with(['a', 'i']) { "an" } else { "a" };
    format!("{article} {name}")
}

fn unknown_section(name: &str) -> String {
    let names = || SECTIONS.iter().map(|section| section.name);
    if let Some(option) = OPTIONS.iter().find(|option| option.name() == name) {
        return format!("{name:?} stands in no section: move it into [{}]", option.section());
    }
    match options::nearest(name, names()) {
        Some(near) => format!("there is no section {name:?}: did you mean [{near}]?"),
        None => format!("there is no section {name:?}: there are {}", names().collect::<Vec<_>>().join(", ")),
    }
}

fn unknown_option(section: &str, name: &str) -> String {
    let names = || OPTIONS.iter().filter(|option| option.section() == section).map(Opt::name);
    if let Some(near) = options::nearest(name, names()) {
        return format!("there is no option {name:?} in [{section}]: did you mean {near}?");
    }
    if let Some(elsewhere) = OPTIONS.iter().find(|option| option.name() == name) {
        return format!("there is no option {name:?} in [{section}]: move it into [{}]", elsewhere.section());
    }
    format!("there is no option {name:?} in [{section}]: there are {}", names().collect::<Vec<_>>().join(", "))
}
