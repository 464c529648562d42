//! One path of this program under callgrind.

use std::io;
use std::process::{Command, Stdio};

/// The C library chooses how to copy by what the processor has: chosen here, or every machine would
/// count other instructions for a copy. Names that it does not know it passes over.
const TUNABLES: &str = "glibc.cpu.hwcaps=-AVX2,-AVX2_Usable,-AVX512F,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM";

/// The instructions that an operation takes on this path.
pub fn instructions(path: &str) -> Result<u64, String> {
    let out = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = out.path().join("callgrind.out");
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*instructions_counted*"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args(["--path", path])
        // Nothing of the environment, whose size moves the stack, gets in.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GLIBC_TUNABLES", TUNABLES)
        .stdin(Stdio::null())
        .output();
    let output = valgrind.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "valgrind is needed: apt-get install valgrind".into(),
        _ => error.to_string(),
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        return Err(format!("valgrind: {}\n{}", output.status, text(&output.stderr)));
    }
    let operations: u64 = text(&output.stdout).trim().parse().map_err(|_| "no number of operations")?;
    let profile = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: u64 = total.and_then(|total| total.trim().parse().ok()).ok_or("no totals in the profile")?;
    // Fewer than it takes to be called: the function was not found by its name.
    if operations == 0 || total < operations {
        return Err(format!("{total} instructions for {operations} operations: nothing was counted"));
    }
    Ok(total / operations)
}
