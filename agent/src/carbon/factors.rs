//! The compiled-in tables of electricity's carbon intensity, row by row. Origin and licence of each: `agent/data/README.md`.
//!
//! It stops at reading them; which row applies to a location is for [`super::intensity`].

use super::intensity::Basis;
use crate::{
    table::{self, Row, TableError},
    units::GramsPerKwh,
};

const COUNTRIES: &str = include_str!("../../data/grid_intensity_country.csv");
const ZONES: &str = include_str!("../../data/grid_intensity_subnational.csv");
const STATES: &str = include_str!("../../data/grid_intensity_us_state_egrid2023.csv");
const PROVINCES: &str = include_str!("../../data/grid_intensity_cn_province_2023.csv");
/// The country table's code of the whole world.
const WORLD: &str = "WRL";

/// One area and the mean intensity of its electricity in one year.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Area {
    /// The code by which it is asked for.
    pub(super) code: String,
    /// A second code: three letters for countries, else empty.
    pub(super) code3: String,
    /// Its name; empty for zones of the grid.
    pub(super) name: String,
    /// Annual mean.
    pub(super) value: GramsPerKwh,
    /// Which year.
    pub(super) year: u16,
    /// What is counted.
    pub(super) basis: Basis,
    /// What a reader must know beyond that.
    pub(super) note: Option<&'static str>,
}

/// The country table, told apart.
#[derive(Clone, Debug, Default)]
pub(super) struct CountryTable {
    /// Countries and territories.
    pub(super) single: Vec<Area>,
    /// The world.
    pub(super) world: Vec<Area>,
    /// Continents and the European Union: no machine stands in one without standing in a country, so they
    /// give no figure. (`NAM` is Namibia and also North America.)
    pub(super) groups: Vec<Area>,
}

/// Countries, the world, and groups of countries.
pub(super) fn countries() -> Result<CountryTable, TableError> {
    let areas = table::read("grid_intensity_country.csv", COUNTRIES, |row| {
        let (code2, code3) = (row.text("code2")?, row.text("code3")?);
        area(row, code2, "gco2e_per_kwh", Basis::Lifecycle).map(|area| Area { code3: code3.to_owned(), ..area })
    })?;
    let (world, areas): (Vec<_>, Vec<_>) = areas.into_iter().partition(|area| area.code3 == WORLD);
    let (groups, single) = areas.into_iter().partition(|area| area.code.is_empty() || area.code == "EU");
    Ok(CountryTable { single, world, groups })
}

/// Zones of the grid within countries that have several, by Electricity Maps' names.
pub(super) fn zones() -> Result<Vec<Area>, TableError> {
    table::read("grid_intensity_subnational.csv", ZONES, |row| {
        area(row, row.text("em_zone")?, "gco2e_per_kwh", Basis::Direct)
    })
}

/// States of the US and provinces of China by ISO 3166-2; the US table's own total is left to the country table.
pub(super) fn subdivisions() -> Result<Vec<Area>, TableError> {
    let mut areas = states()?;
    areas.retain(|area| area.code != "US");
    areas.extend(provinces()?);
    Ok(areas)
}

fn states() -> Result<Vec<Area>, TableError> {
    let note = Some("generated within the state, not consumed there");
    table::read("grid_intensity_us_state_egrid2023.csv", STATES, |row| {
        area(row, row.text("iso3166_2")?, "gco2e_per_kwh", Basis::Direct).map(|area| Area { note, ..area })
    })
}

fn provinces() -> Result<Vec<Area>, TableError> {
    let note = Some("CO2 only, other greenhouse gases are not counted");
    table::read("grid_intensity_cn_province_2023.csv", PROVINCES, |row| {
        area(row, row.text("iso3166_2")?, "gco2_per_kwh", Basis::Direct).map(|area| Area { note, ..area })
    })
}

fn area(row: &Row, code: &str, value: &str, basis: Basis) -> Result<Area, TableError> {
    let name = row.text("name").unwrap_or_default();
    Ok(Area {
        code: code.to_owned(),
        code3: String::new(),
        name: name.to_owned(),
        value: GramsPerKwh(row.amount(value)?),
        year: row.number("year")?,
        basis,
        note: None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn data_lines(text: &str) -> usize {
        text.lines().count() - 1
    }

    fn sound(areas: &[Area], basis: Basis) {
        for area in areas {
            assert!(0.0 < area.value.0 && area.value.0 < 1_500.0, "{area:?}");
            assert!((2020..=2026).contains(&area.year) && area.basis == basis, "{area:?}");
        }
        let codes: BTreeSet<_> = areas.iter().map(|area| &area.code).collect();
        assert_eq!(codes.len(), areas.len(), "a code is there twice");
    }

    #[test]
    fn every_country_is_read() {
        let CountryTable { single, world, groups } = countries().expect("the table");
        assert_eq!(single.len() + world.len() + groups.len(), data_lines(COUNTRIES));
        assert_eq!((single.len(), world.len(), groups.len()), (212, 1, 7));
        sound(&single, Basis::Lifecycle);
        assert!(single.iter().all(|area| area.code.len() == 2 && area.code3.len() == 3 && !area.name.is_empty()));
        let codes: BTreeSet<_> = single.iter().map(|area| &area.code3).collect();
        assert_eq!(codes.len(), single.len());
    }

    #[test]
    fn every_zone_state_and_province_is_read() {
        let (zones, states, provinces) =
            (zones().expect("zones"), states().expect("states"), provinces().expect("provinces"));
        assert_eq!(
            (zones.len(), states.len(), provinces.len()),
            (data_lines(ZONES), data_lines(STATES), data_lines(PROVINCES))
        );
        for areas in [&zones, &states, &provinces] {
            sound(areas, Basis::Direct);
        }
        assert_eq!(subdivisions().expect("both").len(), states.len() + provinces.len() - 1);
    }

    #[test]
    fn the_tables_say_themselves_what_they_count() {
        for (text, word) in [(ZONES, ",direct,"), (STATES, ",direct"), (PROVINCES, ",direct_co2_only")] {
            assert!(text.lines().skip(1).all(|line| line.contains(word)));
        }
    }
}
