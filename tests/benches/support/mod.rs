//! What the benches share: paired comparisons under criterion, processes, sessions, and the report of what
//! was found.

// Each bench is a program of its own and uses some of this.
#![allow(dead_code)]

pub mod compare;
pub mod echo;
pub mod process;
pub mod report;
pub mod sessions;
pub mod simulation;
