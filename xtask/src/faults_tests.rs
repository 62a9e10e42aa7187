//! The arguments of `cargo xtask faults`.

use super::{Asked, read};

#[test]
fn arguments_are_read_or_named() {
    assert_eq!(read(&[]).expect("none"), Asked { minutes: None, seed: 1 });
    assert_eq!(read(&["--seed", "7", "--minutes", "60"]).expect("both"), Asked { minutes: Some(60), seed: 7 });
    for wrong in [&["--seed"][..], &["--minutes", "long"], &["--kills", "3"]] {
        let told = read(wrong).expect_err("wrong").to_string();
        assert!(told.contains(wrong[0]), "{told}");
    }
}
