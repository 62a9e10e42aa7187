//! The binary as its users run it: real processes, real sockets, real files.

mod kill;
mod programs;
