//! The processor that the README shows: it compiles, does what it says, and stays short.

#[path = "../examples/team_label.rs"]
mod team_label;

use greenroom_sdk::{entity, testing};

#[test]
fn the_readme_processor_is_short() {
    let lines = include_str!("../examples/team_label.rs").lines().count();
    assert!(lines < 25, "{lines} lines");
}

#[test]
fn the_readme_processor_names_the_team() {
    let web = entity!({
        "apiVersion": "backstage.io/v1alpha1", "kind": "Component", "metadata": {"name": "web"},
        "spec": {"owner": "group:default/artists"}
    });
    let done = testing::run(team_label::TeamLabel, web);
    assert_eq!(done.entity.annotation("example.com/team"), Some("artists"));
}
