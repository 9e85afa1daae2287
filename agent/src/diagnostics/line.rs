//! An event as one line of text. Pure.

use std::{
    error::Error,
    fmt::{self, Write},
};

use tracing::{
    Event, Level,
    field::{Field, Visit},
};

/// Longer lines are cut: a pipe takes so many bytes at once or none (`PIPE_BUF` on Linux).
pub(super) const LONGEST: usize = 4096;

const CUT: &str = "…";

/// How a line says its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// By a word, for people.
    Word,
    /// By the number that the journal reads (`sd-daemon(3)`, "Logging").
    Journal,
}

/// The line of an event, its end included.
pub(super) fn of_event(style: Style, event: &Event<'_>) -> String {
    let mut text = Text::default();
    event.record(&mut text);
    of_text(style, *event.metadata().level(), format!("{}{}", text.message, text.fields).trim_start())
}

/// The line of a text, its end included.
pub(super) fn of_text(style: Style, level: Level, text: &str) -> String {
    let mut line = head(style, level).to_owned();
    // One event, one line; and what came from outside must not steer a terminal.
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    if line.len() >= LONGEST {
        while line.len() > LONGEST - 1 - CUT.len() {
            line.pop();
        }
        line.push_str(CUT);
    }
    line.push('\n');
    line
}

const fn head(style: Style, level: Level) -> &'static str {
    match (style, level) {
        (Style::Word, Level::ERROR) => "ERROR ",
        (Style::Word, Level::WARN) => "WARN ",
        (Style::Word, Level::INFO) => "INFO ",
        (Style::Word, Level::DEBUG) => "DEBUG ",
        (Style::Word, Level::TRACE) => "TRACE ",
        (Style::Journal, Level::ERROR) => "<3>",
        (Style::Journal, Level::WARN) => "<4>",
        (Style::Journal, Level::INFO) => "<6>",
        (Style::Journal, Level::DEBUG | Level::TRACE) => "<7>",
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn add(&mut self, field: &Field, value: &str) {
        let is_message = field.name() == "message";
        // What Debug has put into quotes keeps them.
        let is_bare = value.starts_with('"') || !value.is_empty() && !value.contains([' ', '"', '=']);
        // Writing into a text cannot fail.
        let _infallible = match (is_message, is_bare) {
            (true, _) => self.message.write_str(value),
            (false, true) => write!(self.fields, " {}={value}", field.name()),
            (false, false) => write!(self.fields, " {}={value:?}", field.name()),
        };
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.add(field, &value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_words_for_people_and_numbers_for_the_journal() {
        for (level, word, journal) in [
            (Level::ERROR, "ERROR x\n", "<3>x\n"),
            (Level::WARN, "WARN x\n", "<4>x\n"),
            (Level::INFO, "INFO x\n", "<6>x\n"),
            (Level::DEBUG, "DEBUG x\n", "<7>x\n"),
            (Level::TRACE, "TRACE x\n", "<7>x\n"),
        ] {
            assert_eq!(of_text(Style::Word, level, "x"), word);
            assert_eq!(of_text(Style::Journal, level, "x"), journal);
        }
    }

    #[test]
    fn an_event_stays_one_line_and_steers_no_terminal() {
        let line = of_text(Style::Journal, Level::WARN, "a\n<0>b\u{1b}[2J\r\tc");
        assert_eq!(line, "<4>a\\n<0>b\\u{1b}[2J\\r\\tc\n");
    }

    #[test]
    fn long_lines_are_cut_between_characters() {
        for pad in 0..4 {
            let text = "x".repeat(pad) + &"ä€𝄞".repeat(1000);
            let line = of_text(Style::Word, Level::INFO, &text);
            assert!(line.len() <= LONGEST && line.len() > LONGEST - 8, "{}", line.len());
            assert!(line.ends_with("…\n"));
        }
        let fits = "x".repeat(LONGEST - "INFO \n".len());
        assert_eq!(of_text(Style::Word, Level::INFO, &fits), format!("INFO {fits}\n"));
    }
}
