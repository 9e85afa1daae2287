//! The kernel side: one file per probe, one for the maps, one for reading kernel memory.
//!
//! Nothing here decides what a number means. Programs aggregate into maps; the only events that
//! travel are births and deaths of cgroups, and those that were asked for.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod atomic;
mod block;
mod cgroup;
mod closed;
mod connections;
mod cost;
mod events;
mod exits;
mod histograms;
mod kernel;
mod loss;
mod maps;
mod moves;
mod places;
mod process;
mod rows;
mod sched;
mod slices;
mod sockets;
mod tcp;
mod threads;

/// The verifier refuses programs that could panic, so this is never reached.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
