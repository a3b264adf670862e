//! Suites: many runs that differ in few things, run by any number of workers, told in one table.
//!
//! [`crate::settings::load_suite`] makes the cells, [`work()`] runs those that nobody else has, in run folders of
//! a [`SuiteDir`], [`Results`] tells what came of them, and [`merge`] joins folders that were filled elsewhere.

mod error;
mod folder;
mod merge;
mod results;
mod tables;
mod work;

pub use error::SuiteError;
pub use folder::{Claim, Plan, PlannedCell, State, SuiteDir};
pub use merge::merge;
pub use results::{CellResult, Results, Standing};
pub use tables::{Figure, Row, Table};
pub use work::{AnyError, CellEvent, Employer, Shard, WorkEnd, work};
