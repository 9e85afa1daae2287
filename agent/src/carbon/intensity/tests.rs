use proptest::prelude::*;

use super::*;

#[test]
fn locations_go_from_zone_to_country() {
    use Basis::{Direct, Lifecycle};
    use Precision::{Country, Subdivision, Zone};
    let rows = [
        ("US-MIDA-PJM", 343.48, "US-MIDA-PJM", Zone, Direct, 2025),
        ("IT-NO", 202.03, "IT-NO", Zone, Direct, 2025),
        ("us-ca", 179.1, "US-CA", Subdivision, Direct, 2023),
        ("CN-SC", 156.4, "CN-SC", Subdivision, Direct, 2023),
        ("DE", 329.65, "DE", Country, Lifecycle, 2025),
        (" deu ", 329.65, "DE", Country, Lifecycle, 2025),
        ("US", 384.40, "US", Country, Lifecycle, 2025),
        ("NAM", 48.78, "NA", Country, Lifecycle, 2024),
        ("XK", 900.94, "XK", Country, Lifecycle, 2025),
        ("SE-SE3", 35.26, "SE", Country, Lifecycle, 2025),
        ("US-NW-PGE", 384.40, "US", Country, Lifecycle, 2025),
    ];
    for (location, value, zone, precision, basis, year) in rows {
        let found = at_location(Some(location)).unwrap_or_else(|error| panic!("{error}"));
        assert!((found.value.0 - value).abs() < 1e-9, "{location}: {found:?}");
        assert_eq!(
            (found.zone.as_str(), found.precision, found.basis, found.year),
            (zone, precision, basis, Some(year))
        );
        assert_eq!((found.source.name(), found.signal.name()), ("static", "average"));
    }
}

#[test]
fn a_coarser_figure_says_so() {
    let note = |location| at_location(Some(location)).expect("a figure").note;
    assert_eq!(note("SE-SE3").as_deref(), Some("no figure for SE-SE3: the country's"));
    assert_eq!(note("CN-SC").as_deref(), Some("CO2 only, other greenhouse gases are not counted"));
    assert_eq!(note("DE"), None);
}

#[test]
fn no_location_is_the_world_and_said() {
    let world = at_location(None).expect("a figure");
    assert!((world.value.0 - 458.29).abs() < 1e-9);
    assert_eq!((world.zone.as_str(), world.precision.name(), world.basis.name()), ("WORLD", "world", "lifecycle"));
    assert!(world.note.is_some_and(|note| note.contains("no location")));
}

#[test]
fn an_unknown_location_is_refused_with_what_is_near() {
    let rows = [
        ("germany", Some("DE (Germany)")),
        ("UK", Some("GB (United Kingdom)")),
        ("California", Some("US-CA (california)")),
        ("DEX", Some("DE (Germany)")),
        ("UX-MIDA-PJM", Some("US-MIDA-PJM")),
        ("korea", Some("KR (South Korea)")),
        ("EU", Some("European Union (27) is no country")),
        ("EUR", Some("Europe is no country")),
        ("", None),
        ("-", None),
        ("\u{fc}ber", None),
        ("QQ-QQ", None),
    ];
    for (location, near) in rows {
        let error = at_location(Some(location)).expect_err(location).to_string();
        assert!(error.contains(&format!("{location:?}")), "{error}");
        if let Some(near) = near {
            assert!(error.contains(near), "{error}");
        }
    }
}

#[test]
fn fixed_values_are_in_force_as_they_are() {
    let fixed_at = fixed(GramsPerKwh(42.0), Some("my-solar-roof"), Basis::Unstated).expect("a figure");
    assert_eq!((fixed_at.zone.as_str(), fixed_at.source.name(), fixed_at.year), ("my-solar-roof", "fixed", None));
    assert_eq!(fixed(GramsPerKwh(0.0), None, Basis::Direct).expect("a figure").zone, "configured");
    for bad in [-0.1, 2_000.1, f64::NAN, f64::INFINITY] {
        assert!(fixed(GramsPerKwh(bad), None, Basis::Lifecycle).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_is_silently_the_world(location in "\\PC{0,12}") {
        if let Ok(found) = at_location(Some(&location)) {
            prop_assert_ne!(found.precision, Precision::World);
        }
    }
}
