//! What is refused, and by which name.

use nadi::embedded::{Cluster, EmbeddedError, Settings};

use super::Scratch;

#[tokio::test]
async fn data_of_another_major_version_is_refused_and_left_alone() {
    let scratch = Scratch::new("major");
    Cluster::start(scratch.settings()).await.unwrap().stop().await.unwrap();
    let version_file = scratch.data().join("PG_VERSION");
    std::fs::write(&version_file, "12\n").unwrap();

    let refused = Cluster::start(scratch.settings()).await.unwrap_err();

    assert!(matches!(refused, EmbeddedError::WrongMajor { made_by: 12, .. }), "{refused:?}");
    assert!(refused.to_string().contains("PostgreSQL 12"), "{refused}");
    assert_eq!(std::fs::read_to_string(version_file).unwrap(), "12\n");
}

#[tokio::test]
async fn a_named_folder_without_postgresql_is_refused_by_name() {
    let scratch = Scratch::new("nobin");
    std::fs::create_dir_all(&scratch.0).unwrap();

    let settings = Settings { bin: Some(scratch.0.clone()), ..scratch.settings() };
    let refused = Cluster::start(settings).await.unwrap_err().to_string();

    assert!(refused.contains(&*scratch.0.to_string_lossy()), "{refused}");
    assert!(refused.contains("NADI_PG_BIN"), "{refused}");
}

#[tokio::test]
async fn a_setting_that_postgresql_refuses_is_named_in_the_error() {
    let scratch = Scratch::new("badsetting");
    let mut settings = scratch.settings();
    settings.extra.push(("max_connections".into(), "many".into()));

    let refused = Cluster::start(settings).await.unwrap_err();

    assert!(matches!(refused, EmbeddedError::Start { .. }), "{refused:?}");
    assert!(refused.to_string().contains("max_connections"), "{refused}");
}
