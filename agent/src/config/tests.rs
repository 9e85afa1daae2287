//! The configuration: what is taken, and what is said about what is not.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::units::{Grams, GramsPerKwh, Watts};

fn parsed(text: &str) -> Result<Config, String> {
    parse(Path::new("w.toml"), text).map_err(|error| error.to_string())
}

fn said(text: &str) -> String {
    parsed(text).unwrap_err()
}

#[test]
fn no_file_and_an_empty_file_are_the_defaults() {
    assert_eq!(load(None).unwrap(), Config::default());
    assert_eq!(parsed("").unwrap(), Config::default());
    assert_eq!(parsed("[energy]\n[carbon]\n").unwrap(), Config::default());
}

#[test]
fn every_key_arrives_with_its_unit() {
    let first =
        parsed("[energy]\nidle_watts = 20\nmax_watts = 90.5\n[carbon]\nlocation = \"US-CAL-CISO\"\npue = 1.2\n");
    let first = first.unwrap();
    assert_eq!(first.energy, Energy { idle: Some(Watts(20.0)), max: Some(Watts(90.5)) });
    assert_eq!(first.carbon.location.as_deref(), Some("US-CAL-CISO"));
    assert_eq!(first.carbon.pue, Some(1.2));
    let second = "[carbon]\nintensity_g_per_kwh = 350\nembodied_kg = 1200\nembodied_lifespan_years = 5\n";
    let second = parsed(second).unwrap().carbon;
    assert_eq!(second.intensity, Some(GramsPerKwh(350.0)));
    assert_eq!(second.embodied, Some(Grams(1_200_000.0)));
    assert_eq!(second.embodied_lifespan_years, Some(5.0));
}

#[test]
fn an_idle_floor_stands_alone() {
    assert_eq!(parsed("energy.idle_watts = 0").unwrap().energy.idle, Some(Watts(0.0)));
}

#[test]
fn every_mistake_is_said_at_once_with_its_line() {
    let text = "[energy]\nidle_watts = -1\nmax_watts = nan\n\n[carbon]\nlocation = \"some where\"\n\
                intensity_g_per_kwh = 0\npue = 0.9\nembodied_kg = inf\nembodied_lifespan_years = 0\n";
    let said = said(text);
    let heads: Vec<&str> = said.lines().filter_map(|line| line.split(" is ").next()).collect();
    assert_eq!(
        heads,
        [
            "w.toml:2: energy.idle_watts",
            "w.toml:3: energy.max_watts",
            "w.toml:6: carbon.location",
            "w.toml:7: carbon.intensity_g_per_kwh",
            "w.toml:7: carbon.intensity_g_per_kwh contradicts carbon.location, which looks the intensity up: keep one of them",
            "w.toml:8: carbon.pue",
            "w.toml:9: carbon.embodied_kg",
            "w.toml:10: carbon.embodied_lifespan_years",
        ]
    );
}

#[test]
fn contradictions_are_said() {
    let below = said("[energy]\nidle_watts = 50\nmax_watts = 40\n");
    assert!(below.starts_with("w.toml:3: energy.max_watts is below energy.idle_watts"), "{below}");
    let alone = said("energy.max_watts = 40");
    assert!(alone.starts_with("w.toml:1: energy.max_watts says nothing without energy.idle_watts"), "{alone}");
    assert!(parsed("[energy]\nidle_watts = 40\nmax_watts = 40\n").is_ok());
}

#[test]
fn a_range_mistake_brings_no_second_complaint() {
    assert_eq!(said("[energy]\nidle_watts = -5\nmax_watts = 40\n").lines().count(), 1);
}

#[test]
fn what_the_file_format_refuses_has_a_line() {
    for (text, line, word) in [
        ("[energy]\nidle_wats = 3\n", "w.toml:2: ", "idle_wats"),
        ("\n[energie]\n", "w.toml:2: ", "energie"),
        ("[energy]\nidle_watts = \"3 W\"\n", "w.toml:2: ", "string"),
        ("[energy\n", "w.toml:1: ", "]"),
    ] {
        let said = said(text);
        assert!(said.starts_with(line) && said.contains(word) && !said.contains('\n'), "{said}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.toml");
    let said = load(Some(&path)).unwrap_err().to_string();
    assert!(said.starts_with(&path.display().to_string()) && said.contains("cannot read"), "{said}");
    std::fs::write(&path, "carbon.pue = 1.5").unwrap();
    assert_eq!(load(Some(&path)).unwrap().carbon.pue, Some(1.5));
}

/// Pieces of real files in any order reach deeper than noise does.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[energy]".to_owned()),
        Just("[carbon]".to_owned()),
        Just("\n".to_owned()),
        Just("idle_watts".to_owned()),
        Just("max_watts = ".to_owned()),
        Just("carbon.location = \"".to_owned()),
        Just("intensity_g_per_kwh=".to_owned()),
        Just("pue = -nan\n".to_owned()),
        any::<f64>().prop_map(|number| format!("{number:?}\n")),
        "\\PC{0,6}",
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_is_a_panic(text in prop_oneof![any::<String>(), pieces()]) {
        if let Ok(config) = parsed(&text) {
            prop_assert!(config.energy.max.is_none_or(|max| config.energy.idle.is_some_and(|idle| idle.0 <= max.0)));
            prop_assert!(config.carbon.location.is_none() || config.carbon.intensity.is_none());
        }
    }
}
