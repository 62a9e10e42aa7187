//! TLS before the doors of the real server: its settings, its addresses, its renewal.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use crate::programs::{Process, crowdread, fail, free_port, is_quick, succeed, wait_until};

/// Writes a new certificate for this machine and its key into the folder.
fn renew(folder: &Path) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
    // Its own authority.
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    fs::write(folder.join("fullchain.pem"), params.self_signed(&key).expect("signed").pem()).expect("written");
    fs::write(folder.join("privkey.pem"), key.serialize_pem()).expect("written");
    fs::set_permissions(folder.join("privkey.pem"), fs::Permissions::from_mode(0o600)).expect("set");
}

fn settings(folder: &Path, port: u16, mqtt_port: u16) -> PathBuf {
    let text = format!(
        "[doors.tls]\nlisten = \"127.0.0.1:{port}\"\ncertificate = \"fullchain.pem\"\nkey = \"privkey.pem\"\n\
         [doors.mqtt]\ntls_listen = \"127.0.0.1:{mqtt_port}\"\n"
    );
    let file = folder.join("crowdread.toml");
    fs::write(&file, text).expect("written");
    file
}

/// Whether curl gets an answer from a server that shows this certificate.
fn trusts(certificate: &Path, port: u16) -> bool {
    let mut command = Command::new("curl");
    command.args(["--silent", "--noproxy", "*", "--max-time", "30", "--cacert"]).arg(certificate);
    command.arg(format!("https://127.0.0.1:{port}/healthz")).output().expect("curl").status.success()
}

/// Paths are told from the settings file, not from where the server was started.
#[test]
fn a_renewed_certificate_is_shown_after_a_signal_without_a_restart() {
    if is_quick() {
        return;
    }
    let folder = tempfile::tempdir().expect("folder");
    let (port, tls_port, mqtt_port, log) = (free_port(), free_port(), free_port(), folder.path().join("log"));
    renew(folder.path());
    let settings = settings(folder.path(), tls_port, mqtt_port);
    let (old, now) = (folder.path().join("old.pem"), folder.path().join("fullchain.pem"));
    fs::copy(&now, &old).expect("copied");
    let mut command = crowdread();
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&settings).arg("--data");
    command.arg(folder.path().join("data")).current_dir("/").stdout(Stdio::null()).stderr(fs::File::create(&log).expect("log"));
    let mut server = Process(command.spawn().expect("starts"));
    assert_eq!(server.answers_or_ends(port), None, "{}", fs::read_to_string(&log).expect("log"));
    let told = |word: &str| fs::read_to_string(&log).expect("log").contains(word);
    wait_until("the addresses", || told(&format!("https   127.0.0.1:{tls_port}")) && told(&format!("mqtts   127.0.0.1:{mqtt_port}")));
    assert!(told("set join_url to https://"));
    assert!(trusts(&old, tls_port));
    let mut publish = Command::new("mosquitto_pub");
    publish.args(["-h", "127.0.0.1", "-p", &mqtt_port.to_string(), "-q", "1", "-t", "events", "-m", "{}", "--cafile"]).arg(&old);
    succeed(&mut publish);
    renew(folder.path());
    server.signal("HUP");
    wait_until("the new certificate", || trusts(&now, tls_port));
    assert!(!trusts(&old, tls_port));
    fs::write(folder.path().join("privkey.pem"), "no key").expect("written");
    server.signal("HUP");
    wait_until("the word of a bad key", || told("the new certificate or its key cannot be used") && told("privkey.pem"));
    assert!(trusts(&now, tls_port));
    server.end();
}

#[test]
fn a_certificate_that_cannot_be_used_is_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("folder");
    let settings = settings(folder.path(), free_port(), free_port());
    let start = || {
        let mut command = crowdread();
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(&settings).arg("--data").arg(folder.path().join("data"));
        fail(2, &mut command)
    };
    let told = start();
    assert!(told.contains("fullchain.pem") && told.contains("doors.tls.certificate"), "{told}");
    renew(folder.path());
    fs::write(folder.path().join("privkey.pem"), KeyPair::generate().expect("a key").serialize_pem()).expect("written");
    let told = start();
    assert!(told.contains("privkey.pem") && told.contains("does not belong to the certificate"), "{told}");
}
