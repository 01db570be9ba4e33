//! Help, and what is said to those who need it.

use crate::support::nadi;

/// Each command, and what its help must name.
const COMMANDS: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "demo",
            "serve",
            "admin",
            "clinic",
            "migrate",
            "seed",
            "doctor",
            "openapi",
            "NADI_CONFIG",
        ],
    ),
    ("demo", &["--fresh", "--dir"]),
    ("serve", &["--clinic"]),
    ("admin", &["create", "list", "reset"]),
    ("admin list", &["--json"]),
    ("admin reset", &["<EMAIL>", "--password-stdin", "--second-factor", "--json"]),
    ("admin create", &["--email", "--name", "--password-stdin", "--json"]),
    ("clinic", &["create", "list", "show", "suspend", "resume", "archive", "sweep"]),
    (
        "clinic create",
        &[
            "<SLUG>",
            "--name",
            "--time-zone",
            "--language",
            "--country",
            "--admin-email",
            "--admin-name",
            "--json",
        ],
    ),
    ("clinic list", &["--json"]),
    ("clinic show", &["<SLUG>", "--json"]),
    ("clinic suspend", &["<SLUG>", "--json"]),
    ("clinic resume", &["<SLUG>", "--json"]),
    ("clinic archive", &["<SLUG>", "--json"]),
    ("clinic sweep", &["--json"]),
    ("migrate", &["central", "clinics", "status"]),
    ("migrate central", &["--dry-run", "--json"]),
    ("migrate clinics", &["--only", "--jobs", "--dry-run", "--json"]),
    ("migrate status", &["--json"]),
    ("seed", &["<SLUG>", "--patients", "--appointments", "--json"]),
    ("doctor", &["--json"]),
    ("openapi", &["--platform"]),
];

#[tokio::test]
async fn every_command_explains_itself() {
    for (command, named) in COMMANDS {
        let arguments: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();

        let help = nadi(&[], &arguments).await.expect(0).stdout;

        for name in *named {
            assert!(help.contains(name), "`nadi {command} --help` does not name {name}:\n{help}");
        }
        let bare: Vec<&str> = help.lines().filter(|line| is_bare(line)).collect();
        assert!(bare.is_empty(), "`nadi {command} --help` leaves unexplained: {bare:?}\n{help}");
    }
}

/// An argument with nothing said about it, in the form of help that has each on one line.
fn is_bare(line: &str) -> bool {
    let line = line.trim();
    let is_argument = line.starts_with("--") || (line.starts_with('<') && line.ends_with('>'));
    is_argument && !line.contains("  ") && line.contains('[')
}

#[tokio::test]
async fn wrong_usage_ends_with_2() {
    for arguments in [
        &["frobnicate"][..],
        &["serve", "--loudly"],
        &["migrate", "clinics", "--jobs", "0"],
        &["clinic", "show"],
        &["admin", "create"],
        &["admin", "reset"],
        &["seed", "shanti", "--patients", "many"],
    ] {
        let ran = nadi(&[], arguments).await.expect(2);
        assert!(
            ran.stdout.is_empty() && ran.stderr.contains("--help"),
            "{arguments:?}: {}",
            ran.stderr
        );
    }
}

#[tokio::test]
async fn the_description_is_printed_as_json() {
    for (arguments, path) in
        [(&["openapi"][..], "/appointments"), (&["openapi", "--platform"], "/clinics")]
    {
        let description = nadi(&[], arguments).await.expect(0).json();

        assert!(description["openapi"].as_str().unwrap().starts_with("3."));
        assert!(description["paths"][path]["post"].is_object(), "{arguments:?}");
    }
}
