use super::*;

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../../../agent-ebpf/prebuilt/wattrace.bpf.o");

fn insn(op: u8, off: i16, imm: i32) -> [u8; INSN] {
    let ([low, high], [a, b, c, d]) = (off.to_le_bytes(), imm.to_le_bytes());
    [op, 0x21, low, high, a, b, c, d]
}

fn written(code: &[[u8; INSN]], values: &[(Frozen, u32)]) -> Result<Vec<[u8; INSN]>, FreezeError> {
    let mut code = code.to_vec();
    Values::new(values).write(&mut code)?;
    Ok(code)
}

/// Placeholders that an object holds, by number: in constants, in offsets.
fn placeholders(object: &[u8]) -> (Vec<usize>, Vec<usize>) {
    let mut image = Image::of(object);
    let sections: Vec<_> = {
        let file = ElfFile64::<LittleEndian>::parse(object).unwrap();
        let code = file.sections().filter(|section| section.kind() == SectionKind::Text);
        code.filter_map(|section| section.file_range()).collect()
    };
    let (mut constants, mut offsets) = (Vec::new(), Vec::new());
    for (start, len) in sections {
        for insn in image.code(start, len).unwrap() {
            let [_, _, low, high, a, b, c, d] = *insn;
            constants.extend(number(i32::from_le_bytes([a, b, c, d]).into(), CONSTANT.into()));
            offsets.extend(number(i16::from_le_bytes([low, high]).into(), OFFSET.into()));
        }
    }
    (constants, offsets)
}

#[test]
fn constants_and_offsets_are_written() {
    let values = [(Frozen::TaskTgid, 2_468), (Frozen::PossibleCpus, 0x8000_0001), (Frozen::RootCgroupHigh, 7)];
    let constant = |value: Frozen| CONSTANT + value as i32;
    let code = [
        insn(0x79, OFFSET + Frozen::TaskTgid as i16, 0),
        insn(0x61, OFFSET + Frozen::TaskPid as i16, 0),
        insn(MOV64, 0, constant(Frozen::PossibleCpus)),
        insn(LD_IMM64, 0, constant(Frozen::RootCgroupLow)),
        insn(0, 0, constant(Frozen::RootCgroupHigh)),
    ];
    let expected = [
        insn(0x79, 2_468, 0),
        insn(0x61, 0, 0),
        // The constant of the other would be signed.
        insn(MOV32, 0, i32::from_le_bytes(0x8000_0001_u32.to_le_bytes())),
        insn(LD_IMM64, 0, 0),
        insn(0, 0, 7),
    ];
    assert_eq!(written(&code, &values).unwrap(), expected);
}

#[test]
fn what_must_stay_in_its_place_is_an_atomic_where_that_is_asked_for() {
    let marked = OFFSET + Frozen::InOrder as i16;
    let code = [insn(STORE, marked, 0), insn(ATOMIC, marked, 0), insn(STORE, 8, 0), insn(ATOMIC, 8, 0)];
    let plain = [insn(STORE, 0, 0), insn(ATOMIC, 0, 0), code[2], code[3]];
    assert_eq!(written(&code, &[]).unwrap(), plain);
    assert_eq!(written(&code, &[(Frozen::InOrder, 0)]).unwrap(), plain);
    // `r1 = xchg_64(r1 + 0, r2)`, `r2 = atomic_fetch_add((u64 *)(r1 + 0), r2)`.
    let ordered = [insn(0xdb, 0, 0xe1), insn(0xdb, 0, 0x01), code[2], code[3]];
    assert_eq!(written(&code, &[(Frozen::InOrder, 1)]).unwrap(), ordered);
}

#[test]
fn all_else_is_left_alone() {
    let code = [
        insn(0x79, OFFSET - 1, CONSTANT),
        insn(0x7b, OFFSET, CONSTANT),
        insn(0x07, 0, CONSTANT),
        insn(MOV64, OFFSET, CONSTANT - 1),
        // The second place of an instruction is none itself.
        insn(LD_IMM64, OFFSET, 1),
        insn(0x79, OFFSET, 1),
    ];
    assert_eq!(written(&code, &[]).unwrap(), code);
}

#[test]
fn an_offset_that_is_too_far_and_a_value_that_is_not_known_are_refused() {
    let load = [insn(0x79, OFFSET + Frozen::RqClock as i16, 0)];
    let far = written(&load, &[(Frozen::RqClock, 32_768)]);
    assert!(matches!(far, Err(FreezeError::TooFar { value: Frozen::RqClock, offset: 32_768 })), "{far:?}");
    assert_eq!(written(&load, &[(Frozen::RqClock, 32_767)]).unwrap(), [insn(0x79, 32_767, 0)]);
    let next = i16::try_from(FROZEN).unwrap();
    for unknown in [insn(0x79, OFFSET + next, 0), insn(MOV64, 0, CONSTANT + i32::from(next))] {
        assert!(matches!(written(&[unknown], &[]), Err(FreezeError::Unknown)));
    }
}

#[test]
fn every_value_is_in_the_built_object_and_no_placeholder_is_left() {
    let (constants, offsets) = placeholders(OBJECT);
    println!("{} constants, {} offsets", constants.len(), offsets.len());
    let used = |number: &usize| constants.contains(number) || offsets.contains(number);
    assert_eq!((0..FROZEN).find(|number| !used(number)), None);
    let frozen = freeze(OBJECT, &[]).unwrap();
    assert_eq!(placeholders(frozen.bytes()), (Vec::new(), Vec::new()));
    let changed = OBJECT.chunks(INSN).zip(frozen.bytes().chunks(INSN)).filter(|(before, after)| before != after);
    assert_eq!(changed.count(), constants.len() + offsets.len());
}

#[test]
fn what_is_no_object_is_refused_and_never_panics() {
    assert!(matches!(freeze(b"no object", &[]), Err(FreezeError::Unreadable(_))));
    for len in (0..OBJECT.len()).step_by(97) {
        drop(freeze(&OBJECT[..len], &[]));
    }
    for at in 0..64 {
        let mut bytes = OBJECT.to_vec();
        bytes[at] ^= 0xff;
        drop(freeze(&bytes, &[]));
    }
}

#[test]
fn the_bytes_are_aligned() {
    assert_eq!(freeze(OBJECT, &[]).unwrap().bytes().as_ptr().align_offset(ALIGN), 0);
}
