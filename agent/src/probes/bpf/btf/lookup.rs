//! Members of structs: offset, size and what a pointer points to.

use super::{Btf, Kind, LookupError, RawMember, Type};

/// Steps that one lookup may take: a real one takes hundreds to a few thousand.
const STEPS: u32 = 1 << 16;
/// Aliases or array dimensions in a row; the kernel's own reader allows 32.
const CHAIN: u32 = 32;
/// Anonymous structs inside each other; kernels have 4.
const DEPTH: u32 = 16;
/// Every 64-bit kernel; the blob does not say.
const POINTER: u32 = 8;

/// Where a member lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member<'a> {
    /// From the start of the outermost struct, bytes.
    pub offset: u32,
    /// Size, bytes.
    pub size: u32,
    /// For a pointer to a struct or union that has a name: the name.
    pub pointee: Option<&'a str>,
}

impl<'a> Btf<'a> {
    /// One member of a struct; see [`Btf::members`].
    pub fn member(&self, name: &str, path: &str) -> Result<Member<'a>, LookupError> {
        self.members(name, [path]).map(|[member]| member)
    }

    /// A bit field of one bit: the byte that holds it, from the start of the struct, and the bit in it.
    pub fn bit(&self, name: &str, path: &str) -> Result<(u32, u32), LookupError> {
        let mut walk = Walk::new(self, name);
        let answers = self.named(Kind::Struct, name).map(|(_, root)| walk.bit(root, path).map_err(|error| (0, error)));
        agreed(name, answers)?.ok_or_else(|| LookupError::NoStruct { name: name.to_owned() })
    }

    /// Members of a struct, in the order asked for, all from one type.
    ///
    /// A path names a member ("pid") or a member of an embedded struct ("`se.cfs_rq`"); anonymous
    /// structs, typedefs and qualifiers on the way need no mention. If several types have the name,
    /// those that lack a member do not count, and the others must give the same answer.
    pub fn members<const N: usize>(&self, name: &str, paths: [&str; N]) -> Result<[Member<'a>; N], LookupError> {
        let mut walk = Walk::new(self, name);
        let answers = self.named(Kind::Struct, name).map(|(_, root)| {
            let mut members = [Member::default(); N];
            for (found, (slot, path)) in members.iter_mut().zip(paths).enumerate() {
                *slot = walk.member(root, path).map_err(|error| (found, error))?;
            }
            Ok(members)
        });
        agreed(name, answers)?.ok_or_else(|| LookupError::NoStruct { name: name.to_owned() })
    }
}

/// The one answer of several types of a name; `None` if there was no type. Of several errors, that of
/// the type that had most of what was asked for (the number beside the error).
pub(super) fn agreed<T: PartialEq>(
    name: &str,
    answers: impl Iterator<Item = Result<T, (usize, LookupError)>>,
) -> Result<Option<T>, LookupError> {
    let mut answer = None;
    let mut failure: Option<(usize, LookupError)> = None;
    for candidate in answers {
        match (candidate, &answer) {
            (Ok(value), None) => answer = Some(value),
            (Ok(value), Some(first)) if value == *first => {}
            (Ok(_), Some(_)) => return Err(LookupError::Ambiguous { name: name.to_owned() }),
            (Err((_, limit @ LookupError::Limit { .. })), _) => return Err(limit),
            (Err((found, error)), _) => {
                if failure.as_ref().is_none_or(|(most, _)| found > *most) {
                    failure = Some((found, error));
                }
            }
        }
    }
    match (answer, failure) {
        (None, Some((_, error))) => Err(error),
        (answer, _) => Ok(answer),
    }
}

/// Where a path leads.
struct Place<'a> {
    /// From the start of the outermost struct.
    bits: u64,
    ty: Option<Type<'a>>,
    /// It is a bit field of either kind.
    is_field: bool,
    /// Of a bit field, bits; 0 of the old kind.
    width: u32,
}

/// One lookup: follows types within a budget.
pub(super) struct Walk<'b, 'a> {
    btf: &'b Btf<'a>,
    name: &'b str,
    steps: u32,
}

impl<'b, 'a> Walk<'b, 'a> {
    /// A lookup about `name`, which errors will mention.
    pub(super) fn new(btf: &'b Btf<'a>, name: &'b str) -> Self {
        Self { btf, name, steps: STEPS }
    }

    /// The blob.
    pub(super) fn btf(&self) -> &'b Btf<'a> {
        self.btf
    }

    /// The type behind typedefs and qualifiers; `None` for `void`.
    pub(super) fn resolve(&mut self, mut id: u32) -> Result<Option<Type<'a>>, LookupError> {
        for _ in 0..CHAIN {
            self.step()?;
            if id == 0 {
                return Ok(None);
            }
            let ty = self.btf.get(id).ok_or_else(|| LookupError::BadId { name: self.name.to_owned(), id })?;
            if !ty.kind.is_some_and(Kind::is_alias) {
                return Ok(Some(ty));
            }
            id = ty.value;
        }
        Err(self.limit())
    }

    /// Size in bytes; `None` for types without.
    pub(super) fn size(&mut self, ty: Option<Type<'a>>) -> Result<Option<u32>, LookupError> {
        let (mut ty, mut count) = (ty, 1_u32);
        for _ in 0..CHAIN {
            let Some(known) = ty else { return Ok(None) };
            if let Some((element, elements)) = known.array() {
                let Some(product) = count.checked_mul(elements) else { return Ok(None) };
                count = product;
                ty = self.resolve(element)?;
                continue;
            }
            let one = match known.kind {
                Some(Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Float) => known.value,
                Some(Kind::Ptr) => POINTER,
                _ => return Ok(None),
            };
            return Ok(count.checked_mul(one));
        }
        Err(self.limit())
    }

    /// Name of the struct or union that a pointer points to.
    pub(super) fn pointee(&mut self, ty: Option<Type<'a>>) -> Result<Option<&'a str>, LookupError> {
        let Some(pointer) = ty.filter(|ty| ty.kind == Some(Kind::Ptr)) else { return Ok(None) };
        let target = self.resolve(pointer.value)?;
        let target = target.filter(|ty| matches!(ty.kind, Some(Kind::Struct | Kind::Union | Kind::Fwd)));
        Ok(target.and_then(|ty| self.btf.name(ty.name)).filter(|name| !name.is_empty()))
    }

    fn member(&mut self, root: Type<'a>, path: &str) -> Result<Member<'a>, LookupError> {
        let Place { bits, ty, is_field, .. } = self.place(root, path)?;
        if is_field || bits % 8 != 0 {
            return Err(self.unreadable(path, "a bit field"));
        }
        let size = self.size(ty)?.ok_or_else(|| self.unreadable(path, "of a type without size"))?;
        let inside = |offset: &u32| offset.checked_add(size).is_some_and(|end| end <= root.value);
        let offset = u32::try_from(bits / 8).ok().filter(inside).ok_or_else(|| self.outside(path))?;
        Ok(Member { offset, size, pointee: self.pointee(ty)? })
    }

    fn bit(&mut self, root: Type<'a>, path: &str) -> Result<(u32, u32), LookupError> {
        let Place { bits, width, .. } = self.place(root, path)?;
        if width != 1 {
            return Err(self.unreadable(path, "not a single bit"));
        }
        let byte = u32::try_from(bits / 8).ok().filter(|byte| *byte < root.value);
        Ok((byte.ok_or_else(|| self.outside(path))?, 1 << (bits % 8)))
    }

    /// Follows a path from a struct.
    fn place(&mut self, root: Type<'a>, path: &str) -> Result<Place<'a>, LookupError> {
        let mut place = Place { bits: 0, ty: Some(root), is_field: false, width: 0 };
        for part in path.split('.') {
            let found = match place.ty {
                Some(outer) if !part.is_empty() => self.find(outer, part, 0)?,
                _ => None,
            };
            let (offset, member) = found.ok_or_else(|| self.no_member(path))?;
            place.bits = place.bits.saturating_add(offset);
            place.ty = self.resolve(member.type_id)?;
            place.is_field = member.bit_width != 0 || place.ty.and_then(Type::int).is_some_and(|int| !int.whole);
            place.width = member.bit_width;
        }
        Ok(place)
    }

    /// A member by name, also inside anonymous structs and unions, with its offset in bits.
    fn find(&mut self, ty: Type<'a>, name: &str, depth: u32) -> Result<Option<(u64, RawMember)>, LookupError> {
        if depth >= DEPTH {
            return Err(self.limit());
        }
        for member in ty.members() {
            self.step()?;
            let offset = u64::from(member.bit_offset);
            if self.btf.is_named(member.name, name) {
                return Ok(Some((offset, member)));
            }
            if !self.btf.is_named(member.name, "") {
                continue;
            }
            if let Some(inner) = self.resolve(member.type_id)?
                && let Some((within, found)) = self.find(inner, name, depth + 1)?
            {
                return Ok(Some((offset + within, found)));
            }
        }
        Ok(None)
    }

    fn step(&mut self) -> Result<(), LookupError> {
        self.steps = self.steps.checked_sub(1).ok_or_else(|| self.limit())?;
        Ok(())
    }

    fn limit(&self) -> LookupError {
        LookupError::Limit { name: self.name.to_owned() }
    }

    fn no_member(&self, path: &str) -> LookupError {
        LookupError::NoMember { name: self.name.to_owned(), path: path.to_owned() }
    }

    fn outside(&self, path: &str) -> LookupError {
        LookupError::Outside { name: self.name.to_owned(), path: path.to_owned() }
    }

    fn unreadable(&self, path: &str, what: &'static str) -> LookupError {
        LookupError::Unreadable { name: self.name.to_owned(), path: path.to_owned(), what }
    }
}
