//! A process that a test leaves behind is ended, also when it has left its parent and its group.

use std::process::{Command, Stdio};

use super::*;

#[test]
fn what_carries_the_token_is_ended_and_nothing_else() {
    let token = format!("processes-test-{}", std::process::id());
    let sleeper = |marked: bool| {
        let mut command = Command::new("sleep");
        command.arg("600").stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        if marked {
            command.env(VARIABLE, &token);
        }
        command.spawn().unwrap()
    };
    let (mut ours, mut other) = (sleeper(true), sleeper(false));
    assert_eq!(marked(&token), [ours.id()]);
    end_marked(&token);
    assert!(!ours.wait().unwrap().success());
    assert!(other.try_wait().unwrap().is_none(), "a process without the token was ended");
    other.kill().unwrap();
    other.wait().unwrap();
}
