//! The measurements are read from what cargo and the kernel really write.

use super::*;

#[test]
fn seconds_are_added_by_crate() {
    let unit = |name: &str, seconds: f64| format!(r#"{{"i":0,"name":"{name}","version":"1.0.0","mode":"todo","duration":{seconds}}}"#);
    let report = format!("<script>\nconst UNIT_DATA = [{},{},{}];\nconst X = 1;", unit("a", 1.0), unit("b", 3.0), unit("a", 4.5));
    assert_eq!(units(&report), Some(vec![("a 1.0.0".to_string(), 5.5), ("b 1.0.0".to_string(), 3.0)]));
    assert_eq!(units("nothing"), None);
}

#[test]
fn children_seconds_grow_with_a_child() {
    let before = children_seconds().unwrap();
    let busy = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    assert!(std::process::Command::new("sh").args(["-c", busy]).status().unwrap().success());
    assert!(children_seconds().unwrap() > before);
}
