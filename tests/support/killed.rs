//! A writer that is killed without warning: this same test program, told by its environment what to
//! do, which says on its standard output what was acknowledged.

#![expect(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The test called `writer` of this program, with these variables.
pub fn writer(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "writer", "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .stdout(Stdio::piped());
    command
}

/// Says that a step of a task was acknowledged.
pub fn say_done(task: u64, step: u64) {
    let line = format!("done {task} {step}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// The task and the step that a whole line says were acknowledged.
pub fn done(line: &str) -> Option<(u64, u64)> {
    let (task, step) = line.strip_prefix("done ")?.split_once(' ')?;
    Some((task.parse().ok()?, step.parse().ok()?))
}

/// Kills a writer some time after its first acknowledgement; tasks and steps that were acknowledged.
pub fn killed_after(mut child: Child, patience: Duration) -> Vec<(u64, u64)> {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (mut done, mut until, mut line) = (Vec::new(), None, String::new());
    loop {
        line.clear();
        // The last line may be cut short by the kill; then it says nothing.
        if lines.read_line(&mut line).unwrap() == 0 {
            break;
        }
        let Some(one) = line.strip_suffix('\n').and_then(self::done) else { continue };
        done.push(one);
        if Instant::now() >= *until.get_or_insert_with(|| Instant::now() + patience) {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    done
}
