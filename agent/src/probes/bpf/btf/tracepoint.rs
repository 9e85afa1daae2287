//! Arguments of tracepoints, as a program attached by type (`tp_btf`) receives them.

use super::lookup::{Walk, agreed};
use super::{Btf, Kind, LookupError, Type};

/// Type of one argument, as far as a program needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg<'a> {
    /// Pointer to a struct or union of this name.
    Pointer(&'a str),
    /// Pointer to characters.
    Text,
    /// Any other pointer.
    OtherPointer,
    /// An integer.
    Int {
        /// Size, bytes.
        size: u32,
        /// Signed.
        signed: bool,
    },
    /// A boolean.
    Bool,
    /// An enumeration.
    Enum {
        /// Size, bytes.
        size: u32,
    },
    /// Anything else, a struct passed by value for instance.
    Other,
}

impl<'a> Btf<'a> {
    /// Arguments of a tracepoint in order, from the kernel's typedef `btf_trace_<name>`.
    ///
    /// The prototype begins with a `void *` for the attached function's own data, which programs do
    /// not receive: it is left out.
    pub fn tracepoint_args(&self, name: &str) -> Result<Vec<Arg<'a>>, LookupError> {
        let typedef = format!("btf_trace_{name}");
        let mut walk = Walk::new(self, &typedef);
        let answers = self.named(Kind::Typedef, &typedef).map(|(_, ty)| {
            let args = walk.prototype(ty).and_then(|proto| walk.args(proto));
            args.map_err(|error| (0, error))?.ok_or_else(|| (0, LookupError::NotTracepoint { name: name.to_owned() }))
        });
        agreed(&typedef, answers)?.ok_or_else(|| LookupError::NoTracepoint { name: name.to_owned() })
    }
}

impl<'a> Walk<'_, 'a> {
    /// The function prototype that a typedef of a pointer leads to.
    fn prototype(&mut self, typedef: Type<'a>) -> Result<Option<Type<'a>>, LookupError> {
        let pointer = self.resolve(typedef.value)?.filter(|ty| ty.kind == Some(Kind::Ptr));
        let Some(pointer) = pointer else { return Ok(None) };
        Ok(self.resolve(pointer.value)?.filter(|ty| ty.kind == Some(Kind::FuncProto)))
    }

    /// Its parameters without the first; `None` unless the first is `void *`.
    fn args(&mut self, proto: Option<Type<'a>>) -> Result<Option<Vec<Arg<'a>>>, LookupError> {
        let Some(proto) = proto else { return Ok(None) };
        let mut params = proto.params();
        let Some(first) = params.next() else { return Ok(None) };
        let data = self.resolve(first)?.filter(|ty| ty.kind == Some(Kind::Ptr));
        let Some(data) = data else { return Ok(None) };
        if self.resolve(data.value)?.is_some() {
            return Ok(None);
        }
        params.map(|id| self.arg(id)).collect::<Result<_, _>>().map(Some)
    }

    fn arg(&mut self, id: u32) -> Result<Arg<'a>, LookupError> {
        let ty = self.resolve(id)?;
        let Some(known) = ty else { return Ok(Arg::Other) };
        Ok(match known.kind {
            Some(Kind::Ptr) => match self.pointee(ty)? {
                Some(name) => Arg::Pointer(name),
                None if self.is_text(known)? => Arg::Text,
                None => Arg::OtherPointer,
            },
            Some(Kind::Enum | Kind::Enum64) => Arg::Enum { size: known.value },
            Some(Kind::Int) => match known.int() {
                Some(int) if int.is_bool => Arg::Bool,
                Some(int) => Arg::Int { size: known.value, signed: int.signed },
                None => Arg::Other,
            },
            _ => Arg::Other,
        })
    }

    /// By name, since compilers differ in marking `char` as a character.
    fn is_text(&mut self, pointer: Type<'a>) -> Result<bool, LookupError> {
        let target = self.resolve(pointer.value)?;
        Ok(target.is_some_and(|ty| ty.kind == Some(Kind::Int) && self.btf().is_named(ty.name, "char")))
    }
}
