//! Carbon intensity of the electricity at a location: a fixed value, or the compiled-in annual means.

use super::factors::{self, Area, CountryTable};
use crate::{table::TableError, units::GramsPerKwh};

/// Above this no grid of the world is: the value is in another unit.
const LARGEST: f64 = 2_000.0;
/// Near matches an error lists.
const NEAR_LISTED: usize = 6;
/// How the world is named as a zone.
const WORLD_ZONE: &str = "WORLD";

/// What a figure counts. Figures of two bases must not be in one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Basis {
    /// Fuel supply and building the plants included.
    Lifecycle,
    /// What leaves the stack.
    Direct,
    /// The operator gave a value and did not say.
    Unstated,
}

impl Basis {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lifecycle => "lifecycle",
            Self::Direct => "direct",
            Self::Unstated => "unstated",
        }
    }
}

/// How closely a figure fits the location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// The zone of the grid.
    Zone,
    /// State or province.
    Subdivision,
    /// Country.
    Country,
    /// Mean of the world: no location is known.
    World,
    /// The operator gave the value.
    Configured,
}

impl Precision {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zone => "zone",
            Self::Subdivision => "subdivision",
            Self::Country => "country",
            Self::World => "world",
            Self::Configured => "configured",
        }
    }
}

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IntensitySource {
    /// The configuration.
    Fixed,
    /// The compiled-in tables.
    Static,
}

impl IntensitySource {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Static => "static",
        }
    }
}

/// Whether a figure is the mean of all plants or of those that answer to one more kWh. Figures of both must not be in one series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Mean of all.
    Average,
}

impl Signal {
    /// The name metrics and `once --json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Average => "average",
        }
    }
}

/// Carbon intensity with everything that must be said beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Intensity {
    /// The figure.
    pub value: GramsPerKwh,
    /// Of which zone: the table's code, `WORLD`, or what the operator named.
    pub zone: String,
    /// Where it comes from.
    pub source: IntensitySource,
    /// Mean or marginal.
    pub signal: Signal,
    /// What is counted.
    pub basis: Basis,
    /// How closely it fits.
    pub precision: Precision,
    /// Year of the figure; `None` for a configured value.
    pub year: Option<u16>,
    /// What a reader must know beyond that.
    pub note: Option<String>,
}

/// Why there is no intensity.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum IntensityError {
    /// No table has the location.
    #[error(
        "no carbon intensity is known for the location {location:?}: give a grid zone, an ISO 3166-2 or an ISO 3166-1 code{near}"
    )]
    UnknownLocation {
        /// What was asked for.
        location: String,
        /// What may have been meant, as the end of the sentence; empty if nothing is near.
        near: String,
    },
    /// The configured value is no intensity.
    #[error("a carbon intensity of {} g/kWh makes no sense: give 0 to 2,000", value.0)]
    OutOfRange {
        /// What was given.
        value: GramsPerKwh,
    },
    /// A built-in table is damaged.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// A value from the configuration, in force as it is.
pub fn fixed(value: GramsPerKwh, zone: Option<&str>, basis: Basis) -> Result<Intensity, IntensityError> {
    if !(0.0..=LARGEST).contains(&value.0) {
        return Err(IntensityError::OutOfRange { value });
    }
    Ok(Intensity {
        value,
        zone: zone.unwrap_or("configured").to_owned(),
        source: IntensitySource::Fixed,
        signal: Signal::Average,
        basis,
        precision: Precision::Configured,
        year: None,
        note: None,
    })
}

/// The annual mean at a location: exact grid zone, else ISO 3166-2, else the country of the code, else an
/// error. Without a location the world's mean, and the note says so. Case does not matter.
pub fn at_location(location: Option<&str>) -> Result<Intensity, IntensityError> {
    let countries = factors::countries()?;
    let Some(location) = location else { return world(&countries) };
    let wanted = location.trim().to_ascii_uppercase();
    if let Some(zone) = find(&factors::zones()?, &wanted) {
        return Ok(of_area(zone, Precision::Zone, None));
    }
    if let Some(subdivision) = find(&factors::subdivisions()?, &wanted) {
        return Ok(of_area(subdivision, Precision::Subdivision, None));
    }
    let (country, part) = wanted.split_once('-').map_or((wanted.as_str(), false), |(country, _)| (country, true));
    let note = part.then(|| format!("no figure for {wanted}: the country's"));
    match find(&countries.single, country) {
        Some(found) => Ok(of_area(found, Precision::Country, note)),
        None => Err(unknown(location, &wanted, &countries)?),
    }
}

fn world(countries: &CountryTable) -> Result<Intensity, IntensityError> {
    let note = "no location is configured: mean of the world".to_owned();
    let missing =
        || TableError { table: "grid_intensity_country.csv", line: 1, what: "no row for the world".to_owned() };
    let area = countries.world.first().ok_or_else(missing)?;
    Ok(Intensity { zone: WORLD_ZONE.to_owned(), ..of_area(area, Precision::World, Some(note)) })
}

fn find<'a>(areas: &'a [Area], code: &str) -> Option<&'a Area> {
    areas.iter().find(|area| area.code == code || (!area.code3.is_empty() && area.code3 == code))
}

fn of_area(area: &Area, precision: Precision, note: Option<String>) -> Intensity {
    Intensity {
        value: area.value,
        zone: area.code.clone(),
        source: IntensitySource::Static,
        signal: Signal::Average,
        basis: area.basis,
        precision,
        year: Some(area.year),
        note: note.or_else(|| area.note.map(str::to_owned)),
    }
}

fn unknown(location: &str, wanted: &str, countries: &CountryTable) -> Result<IntensityError, TableError> {
    let areas = countries.single.iter().cloned().chain(factors::subdivisions()?).chain(factors::zones()?);
    let mut near: Vec<_> = areas.filter_map(|area| Some((distance(&area, wanted)?, area))).collect();
    near.sort_by(|(one, a), (other, b)| one.cmp(other).then_with(|| a.code.cmp(&b.code)));
    let listed: Vec<_> = near.iter().take(NEAR_LISTED).map(|(_, area)| described(area)).collect();
    let near = match find(&countries.groups, wanted) {
        Some(group) => format!("; {} is no country, give the one the machine is in", group.name),
        None if listed.is_empty() => String::new(),
        None => format!("; near it are {}", listed.join(", ")),
    };
    Ok(IntensityError::UnknownLocation { location: location.to_owned(), near })
}

fn described(area: &Area) -> String {
    if area.name.is_empty() { area.code.clone() } else { format!("{} ({})", area.code, area.name) }
}

/// How far an area is from what was asked for, 0 nearest; `None`: not near.
fn distance(area: &Area, wanted: &str) -> Option<u32> {
    let name = area.name.to_ascii_uppercase();
    let initials: String = name.split_whitespace().filter_map(|word| word.chars().next()).collect();
    let is_word = |word: &str| word.len() >= 3 && name.contains(word);
    if wanted.is_empty() {
        None
    } else if name == wanted {
        Some(0)
    } else if initials.len() >= 2 && initials == wanted {
        Some(1)
    } else if is_word(wanted) {
        Some(2)
    } else if one_off(&area.code, wanted) || one_off(&area.code3, wanted) {
        Some(3)
    } else {
        wanted.split(|c: char| !c.is_alphanumeric()).any(is_word).then_some(4)
    }
}

/// Whether two codes of three characters or more, of one length, differ in one character. Of two letters nearly all do.
fn one_off(code: &str, wanted: &str) -> bool {
    let differing = code.bytes().zip(wanted.bytes()).filter(|(one, other)| one != other).count();
    code.len() >= 3 && code.len() == wanted.len() && differing == 1
}

#[cfg(test)]
mod tests;
