//! `[events]`: each part alone, and then what contradicts another.

use super::{
    super::{
        env::DISABLED,
        options::Kind,
        settings::Value,
        single,
        valid::{Arguments, Events},
    },
    Judge, LOGS_ENDPOINT, kind, of_other_type,
};

const EXEC: &str = "events.process_exec";
const EXIT: &str = "events.process_exit";
const CLOSED: &str = "events.tcp_connection_closed";
const ARGS: &str = "events.args";
const RATE: &str = "events.rate";
const ENERGY: &str = "events.energy";

impl Judge<'_> {
    /// `destination`: where log records go.
    pub(super) fn events(&mut self, destination: Option<&str>) -> Events {
        let default = Events::default();
        let all = Arguments::ALL.map(|args| (args.name(), args));
        let events = Events {
            process_exec: self.switch(EXEC),
            process_exit: self.switch(EXIT),
            tcp_connection_closed: self.switch(CLOSED),
            args: self.one_of(ARGS, &all).unwrap_or_default(),
            rate: self.whole(RATE).unwrap_or(default.rate),
            energy: self.switch(ENERGY),
        };
        self.contradictions(events, destination);
        events
    }

    fn contradictions(&mut self, events: Events, destination: Option<&str>) {
        let alone = [
            (
                ARGS,
                events.args != Arguments::None && !events.process_exec,
                "says nothing without events.process_exec: set that to true, or remove this",
            ),
            (
                ENERGY,
                events.energy && !events.process_exit,
                "says nothing without events.process_exit: set that to true, or remove this",
            ),
        ];
        let settings = self.settings;
        for (key, _, what) in alone.into_iter().filter(|(_, is_wrong, _)| *is_wrong) {
            if let Some(said) = settings.strongest(key) {
                self.complain(said, key, what);
            }
        }
        // Who switches the export off for once need not take the events out of the file.
        let is_disabled = settings.strongest(LOGS_ENDPOINT).is_some_and(|said| said.origin.is_variable(DISABLED));
        if destination.is_some() || is_disabled {
            return;
        }
        let asked = [(EXEC, events.process_exec), (EXIT, events.process_exit), (CLOSED, events.tcp_connection_closed)];
        for (key, _) in asked.into_iter().filter(|(_, is_asked)| *is_asked) {
            if let Some(said) = settings.strongest(key) {
                let what = "has nowhere to go: events are OTLP log records, set otlp.endpoint or otlp.logs_endpoint";
                self.complain(said, key, what);
            }
        }
    }

    fn switch(&mut self, key: &'static str) -> bool {
        let taken = self.strongest(key, |said| match &said.value {
            Value::Switch(switch) => Ok(*switch),
            other => Err(of_other_type(other)),
        });
        taken.unwrap_or_default()
    }

    fn whole(&mut self, key: &'static str) -> Option<u32> {
        self.strongest(key, |said| match (&said.value, kind(key)) {
            (Value::Whole(number), Some(Kind::Whole(range))) => single::whole(*number, range),
            (other, _) => Err(of_other_type(other)),
        })
    }
}
