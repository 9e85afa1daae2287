use std::{
    fs::File,
    io::{PipeReader, Read, pipe},
};

use super::*;

fn piped() -> (PipeReader, Lines) {
    let (reader, writer) = pipe().unwrap();
    (reader, Lines::new(writer.into(), None))
}

/// What is there, once nobody writes any more.
fn all(mut reader: PipeReader, lines: Lines) -> String {
    drop(lines);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn lines_arrive_whole_and_in_order() {
    let (reader, lines) = piped();
    lines.say(Level::INFO, "one");
    lines.say(Level::WARN, "two");
    assert_eq!(lines.lost(), 0);
    assert_eq!(all(reader, lines), "INFO one\nWARN two\n");
}

#[test]
fn a_reader_that_left_costs_lines_and_nothing_else() {
    let (reader, lines) = piped();
    drop(reader);
    lines.say(Level::INFO, "one");
    lines.say(Level::INFO, "two");
    assert_eq!(lines.lost(), 2);
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let lines = Lines::new(full.into(), None);
    lines.say(Level::INFO, "one");
    assert_eq!(lines.lost(), 1);
}

#[test]
fn an_end_that_cannot_be_written_costs_lines_and_nothing_else() {
    let (reader, _writer) = pipe().unwrap();
    let lines = Lines::new(reader.into(), None);
    lines.say(Level::INFO, "one");
    assert_eq!(lines.lost(), 1);
}

#[test]
fn a_reader_that_sleeps_blocks_nobody_and_is_told_what_it_missed() {
    let (mut reader, lines) = piped();
    let long = "x".repeat(line::LONGEST);
    let mut written = 0;
    while lines.lost() < 3 {
        lines.say(Level::INFO, &long);
        written += 1;
    }
    let mut taken = vec![0; (written - 3) * line::LONGEST];
    reader.read_exact(&mut taken).unwrap();
    lines.say(Level::INFO, "awake");
    assert_eq!(lines.lost(), 3);
    assert_eq!(all(reader, lines), "WARN 3 earlier lines could not be written\nINFO awake\n");
}

#[test]
fn the_journal_is_known_by_its_device_and_inode() {
    let (_reader, writer) = pipe().unwrap();
    let found = rustix::fs::fstat(&writer).unwrap();
    let stream = format!("{}:{}", found.st_dev, found.st_ino);
    let style = |journal: Option<&str>| Lines::new(writer.try_clone().unwrap().into(), journal).style;
    assert_eq!(style(Some(&stream)), Style::Journal);
    for other in [None, Some(""), Some("1"), Some("0:0"), Some(&*format!("{stream}0"))] {
        assert_eq!(style(other), Style::Word, "{other:?}");
    }
}
