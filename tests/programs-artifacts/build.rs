//! Builds every program of `tests/programs` to a component and writes its path as a constant, and
//! the macro that names them all.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use greenroom_guest_build::{GuestBuild, rerun_if_changed};

fn main() {
    let here = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let workspace = here
        .join("../..")
        .canonicalize()
        .expect("the workspace is two up");
    let programs = workspace.join("tests/programs");
    for source in ["src", "examples", "Cargo.toml"] {
        rerun_if_changed(&programs.join(source));
    }
    let built = GuestBuild::new(&workspace)
        .package("greenroom-test-programs")
        .examples()
        .quick()
        .run()
        .unwrap_or_else(|error| panic!("{error}"));

    let mut names: Vec<String> = fs::read_dir(programs.join("examples"))
        .expect("the programs are there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|file| file.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort_unstable();

    let mut code = String::new();
    for name in &names {
        let path = built
            .component(name)
            .unwrap_or_else(|error| panic!("{error}"));
        let constant = name.to_uppercase();
        writeln!(code, "/// Path of the component `{name}`.").expect("a string takes all");
        writeln!(code, "pub const {constant}_COMPONENT: &str = {path:?};")
            .expect("a string takes all");
    }
    code.push_str("/// Every program and the path of its component.\npub const COMPONENTS: &[(&str, &str)] = &[\n");
    for name in &names {
        writeln!(code, "    ({name:?}, {}_COMPONENT),", name.to_uppercase())
            .expect("a string takes all");
    }
    code.push_str("];\n");
    let list = names.join(" ");
    writeln!(
        code,
        "/// Calls `$each!` with the name of every program.\n#[macro_export]\nmacro_rules! foreach_program {{ ($each:ident) => {{ $each! {{ {list} }} }}; }}"
    )
    .expect("a string takes all");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("programs.rs"), code).expect("write the constants");
}
