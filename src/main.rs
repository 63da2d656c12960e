//! The program `lanna`: reads the configuration, builds the broker, serves, drains.

mod cli;

/// Allocates and frees small pieces from many threads faster than the system does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::main()
}
