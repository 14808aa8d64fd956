//! Requests generated from `docs/openapi.json` by schemathesis, and their answers checked against it.

use anyhow::Result;

use super::{Setup, python};
use crate::counts::Counts;

pub(super) fn run(setup: &Setup, counts: &mut Counts) -> Result<bool> {
    python::run_pytest(setup, "schema", "venv-schema", counts)
}
