//! Proves that uploads cost others nothing, through the real API, worker and compile child: a compile bomb is rejected with the
//! figure and the limit (a08); ten of them by one tenant hold another's upload up by one of them at most (a09); bytes are
//! compiled once for a tenant, and for each tenant by itself (a17); revisions, waiting uploads and uploads in a minute have
//! quotas (a20); stored code that is not authentic is compiled again (s01), also when the key is gone (s02), and a stored component that is not what was
//! uploaded is not compiled, but marked until it is uploaded again (s03).

use std::sync::Arc;
use std::time::{Duration, Instant};

use greenroom_model::{Clock, Digest, TenantId, TenantName, Timestamp};
use greenroom_sandbox::{CONFIG_REVISION, WASMTIME_VERSION};
use greenroom_storage::{Blob, BlobKind, BlobRepository, TenantRepository};
use greenroom_storage_sqlite::SqliteStorage;
use greenroom_test_artifacts::{ANNOTATE_COMPONENT, REFUSE_COMPONENT, SIGN_ONE_COMPONENT};
use greenroom_test_support::{Client, TestHost, kill_hard, wait_until};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(60);

/// Unsigned LEB128.
fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], leb(content.len()), content.to_vec()].concat()
}

/// A component that says it is a processor, around a core module of that many functions, each `(param i64 i64)` with that
/// body. The salt makes its bytes new.
fn component_around(functions: usize, body: &[u8], salt: &str) -> Vec<u8> {
    let code = [vec![0], body.to_vec(), vec![0x0b]].concat();
    let code = [leb(code.len()), code].concat();
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend(section(1, &[1, 0x60, 2, 0x7e, 0x7e, 0]));
    module.extend(section(3, &[leb(functions), vec![0; functions]].concat()));
    module.extend(section(
        10,
        &[leb(functions), code.repeat(functions)].concat(),
    ));
    let name = b"greenroom:processor/processor@0.1.0";
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.extend(section(0, &[&[4], &b"salt"[..], salt.as_bytes()].concat()));
    component.extend(section(1, &module));
    // An instance of nothing, exported as the processor.
    component.extend(section(5, &[1, 1, 0]));
    let export = [&[1, 0][..], &leb(name.len()), name, &[5, 0, 0]].concat();
    component.extend(section(11, &export));
    component
}

/// Compiles for many seconds: a chain of dependent multiplications in each of many functions.
fn bomb(salt: &str) -> Vec<u8> {
    let step = [0x20, 0, 0x20, 1, 0x7e, 0x21, 0];
    component_around(48, &step.repeat(70_000), salt)
}

async fn create(client: &Client, tenant: &str, processor: &str) -> String {
    let path = format!("/tenants/{tenant}/processors/{processor}");
    client.put(&path, &json!({})).await.ok();
    path
}

async fn upload(client: &Client, processor: &str, bytes: Vec<u8>) -> Value {
    let path = format!("{processor}/revisions?wait=60");
    client.upload(&path, bytes).await.ok()
}

fn program(path: &str) -> Vec<u8> {
    std::fs::read(path).expect("the program is built")
}

/// Components of their own whose content is that of a program.
fn variant(path: &str, salt: &str) -> Vec<u8> {
    let salt = section(0, &[&[4], &b"salt"[..], salt.as_bytes()].concat());
    [program(path), salt].concat()
}

fn compilations(host: &TestHost) -> usize {
    host.log().matches("compiled an upload").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a08_a09_compile_bombs_cost_a_rejected_revision_and_others_nothing() {
    let host = TestHost::builder()
        .config_toml("[quotas]\ncompile_cpu_seconds = 2\n")
        .start()
        .await;
    let client = host.client();
    let processor = create(client, "default", "bombs").await;
    let many = component_around(50_001, &[], "many");
    let rejected = upload(client, &processor, many).await;
    assert_eq!(rejected["state"], "rejected");
    assert_eq!(
        rejected["reason"],
        "has 50001 functions; at most 50000 may be"
    );
    let rejected = upload(client, &processor, bomb("first")).await;
    assert_eq!(rejected["state"], "rejected", "{rejected}");
    assert_eq!(
        rejected["reason"],
        "compiling it used 2 s of CPU time, and 2 s is the limit: make it smaller or simpler"
    );

    for number in 0..10 {
        let path = format!("{processor}/revisions?wait=0");
        let answer = client.upload(&path, bomb(&number.to_string())).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
    }
    client
        .post("/admin/tenants", &json!({"name": "other"}))
        .await
        .ok();
    let other = create(client, "other", "p").await;
    let started = Instant::now();
    let ready = upload(client, &other, program(SIGN_ONE_COMPONENT)).await;
    let took = started.elapsed();
    assert_eq!(ready["state"], "ready", "{ready}");
    let revisions = client.get(&format!("{processor}/revisions")).await.ok();
    let waiting = revisions["items"].as_array().expect("items").iter();
    let waiting = waiting.filter(|one| one["state"] == "inspecting").count();
    eprintln!("another tenant's upload took {took:?} while {waiting} bombs waited");
    assert!(waiting >= 5, "its turn came before {waiting} of ten bombs");
    // What requests wait for is not held up by compilations.
    let entity = json!({"entity": {"apiVersion": "backstage.io/v1alpha1", "kind": "Component",
        "metadata": {"name": "a"}, "spec": {"type": "x", "lifecycle": "x", "owner": "x"}},
        "location": "url:https://example.com/a"});
    let asked = Instant::now();
    let path = "/tenants/other/api/catalog/validate-entity";
    client.post(path, &entity).await.ok();
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a17_bytes_are_compiled_once_for_a_tenant_and_for_each_by_itself() {
    let host = TestHost::builder().start().await;
    let client = host.client();
    let (one, two) = (
        create(client, "default", "one").await,
        create(client, "default", "two").await,
    );
    let bytes = || program(ANNOTATE_COMPONENT);
    let path = |processor: &str| format!("{processor}/revisions?wait=60");
    let (one_path, two_path) = (path(&one), path(&two));
    let (first, again, elsewhere) = tokio::join!(
        client.upload(&one_path, bytes()),
        client.upload(&one_path, bytes()),
        client.upload(&two_path, bytes()),
    );
    for answer in [&first, &again, &elsewhere] {
        let revision = answer.ok();
        assert_eq!(
            (&revision["state"], &revision["number"]),
            (&json!("ready"), &json!(1))
        );
    }
    assert_eq!(compilations(&host), 1);
    let known = client.upload(&one_path, bytes()).await;
    assert_eq!(known.status, 200, "{}", known.body);
    assert_eq!(compilations(&host), 1);

    client
        .post("/admin/tenants", &json!({"name": "other"}))
        .await
        .ok();
    let other = create(client, "other", "p").await;
    let answer = client.upload(&path(&other), bytes()).await;
    assert_eq!(answer.status, 201, "as new bytes: {}", answer.body);
    assert_eq!(
        compilations(&host),
        2,
        "no result of another tenant is used"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a20_revisions_and_uploads_are_within_their_quotas() {
    let host = TestHost::builder()
        .config_toml("[quotas]\nrevisions_per_processor = 3\nuploads_per_minute = 4\n")
        .start()
        .await;
    let client = host.client();
    let processor = create(client, "default", "p").await;
    let mut accepted = 0;
    let refused = loop {
        let bytes = variant(REFUSE_COMPONENT, &accepted.to_string());
        let path = format!("{processor}/revisions?wait=60");
        let answer = client.upload(&path, bytes).await;
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.ok()["state"], "ready");
        accepted += 1;
        if accepted == 1 {
            let activate = format!("{processor}/activate");
            client.post(&activate, &json!({"revision": 1})).await.ok();
        }
        assert!(accepted < 20, "no upload is refused");
    };
    assert!(
        refused
            .body
            .contains("at most 4 uploads of a tenant in a minute")
    );
    let listed = client.get(&format!("{processor}/revisions")).await.ok();
    let numbers: Vec<_> = listed["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|one| one["number"].as_u64().expect("a number"))
        .collect();
    assert_eq!(numbers.len(), 3, "{numbers:?}");
    assert_eq!(
        (numbers[0], numbers[2]),
        (accepted, 1),
        "the current one stays"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a20_uploads_that_wait_are_bounded() {
    let host = TestHost::builder()
        .config_toml("[quotas]\nwaiting_uploads = 2\n")
        .workers(0)
        .start()
        .await;
    let client = host.client();
    let processor = create(client, "default", "p").await;
    let path = format!("{processor}/revisions?wait=0");
    for number in 0..2 {
        let bytes = variant(REFUSE_COMPONENT, &number.to_string());
        assert_eq!(client.upload(&path, bytes).await.status, 202);
    }
    // Bytes that wait already would wait once more.
    for one_more in ["2", "0"] {
        let refused = client
            .upload(&path, variant(REFUSE_COMPONENT, one_more))
            .await;
        refused.error(429);
        assert!(
            refused.body.contains("2 uploads of this tenant wait"),
            "{}",
            refused.body
        );
    }
    let listed = client.get(&format!("{processor}/revisions")).await.ok();
    assert_eq!(
        listed["items"].as_array().expect("items").len(),
        2,
        "nothing is stored"
    );
}

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000)
    }
}

/// The host's database, opened beside it as an attacker with its file would.
struct Vault {
    storage: SqliteStorage,
    tenant: TenantId,
}

impl Vault {
    async fn open(host: &TestHost) -> Self {
        let path = host.data_dir().join("greenroom.db");
        let storage = SqliteStorage::open(&path, Arc::new(Now)).expect("open the database");
        let name = TenantName::parse("default").expect("a name");
        let tenant = storage.find_tenant(&name).await.expect("look it up");
        let tenant = tenant.expect("it is there").id;
        Self { storage, tenant }
    }

    async fn get(&self, blob: &Blob) -> Option<Vec<u8>> {
        let found = self.storage.get_blob(self.tenant, blob).await;
        found.expect("read the blob").map(|bytes| bytes.to_vec())
    }

    async fn put(&self, blob: &Blob, bytes: Vec<u8>) {
        let put = self.storage.put_blob(self.tenant, blob, bytes.into());
        put.await.expect("store the blob");
    }
}

fn artifact(component: &[u8]) -> Blob {
    Blob {
        kind: BlobKind::Artifact(format!("{WASMTIME_VERSION}/{CONFIG_REVISION}")),
        digest: Digest::of(component),
    }
}

async fn push(client: &Client, round: u32) {
    let entity = json!({
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "web", "annotations": {"example.com/round": round.to_string()}},
        "spec": {"type": "service", "lifecycle": "production", "owner": "team-a"},
    });
    client.push("default", "one", [entity]).await.ok();
}

/// Waits until the entity of that round is served, signed by the processor.
async fn signed(client: &Client, round: u32) {
    wait_until("the processor has signed the entity", BOUND, async || {
        let entity = client.entity("default", "component:default/web").await?;
        let annotations = &entity["metadata"]["annotations"];
        let done = annotations["example.com/round"] == json!(round.to_string())
            && annotations["example.com/after"] == "one";
        done.then_some(())
    })
    .await;
}

async fn restart(host: &mut TestHost) {
    kill_hard(host.pid());
    host.wait_for_end(Duration::from_secs(5)).await;
    host.start_again().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s01_s02_s03_stored_code_is_proved_before_it_runs() {
    let mut host = TestHost::builder().start().await;
    let processor = create(host.client(), "default", "p").await;
    let component = program(SIGN_ONE_COMPONENT);
    let foreign = program(ANNOTATE_COMPONENT);
    for bytes in [&component, &foreign] {
        let revision = upload(host.client(), &processor, bytes.clone()).await;
        assert_eq!(revision["state"], "ready");
    }
    let activate = format!("{processor}/activate");
    host.client()
        .post(&activate, &json!({"revision": 1}))
        .await
        .ok();
    push(host.client(), 0).await;
    signed(host.client(), 0).await;

    // A flipped bit; a cut; another revision's, sealed with the right key.
    let (mine, other) = (artifact(&component), artifact(&foreign));
    let good = Vault::open(&host).await.get(&mine).await.expect("compiled");
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let swapped = Vault::open(&host)
        .await
        .get(&other)
        .await
        .expect("compiled");
    for (round, bad) in [flipped, good[..good.len() / 2].to_vec(), swapped]
        .into_iter()
        .enumerate()
    {
        Vault::open(&host).await.put(&mine, bad.clone()).await;
        restart(&mut host).await;
        push(host.client(), round as u32 + 1).await;
        signed(host.client(), round as u32 + 1).await;
        let now = Vault::open(&host)
            .await
            .get(&mine)
            .await
            .expect("compiled again");
        assert_ne!(now, bad, "it is replaced");
    }

    // s02: without its key nothing stored is trusted; there is a new key, and code of its own.
    let before = Vault::open(&host).await.get(&mine).await;
    std::fs::remove_file(host.data_dir().join("artifact-key")).expect("remove the key");
    restart(&mut host).await;
    push(host.client(), 8).await;
    signed(host.client(), 8).await;
    assert_ne!(Vault::open(&host).await.get(&mine).await, before);

    // The component itself, and no code to fall back on.
    let stored = Blob {
        kind: BlobKind::Component,
        digest: Digest::of(&component),
    };
    let mut bad = component.clone();
    bad[100] ^= 1;
    let vault = Vault::open(&host).await;
    vault.put(&stored, bad).await;
    let gone = vault.storage.delete_blob(vault.tenant, &mine);
    gone.await.expect("delete the code");
    restart(&mut host).await;
    push(host.client(), 9).await;
    let revision = format!("{processor}/revisions");
    let shown = wait_until("the revision is marked", BOUND, async || {
        let listed = host.client().get(&revision).await.ok();
        let one = listed["items"]
            .as_array()?
            .iter()
            .find(|one| one["number"] == 1)?
            .clone();
        (one["state"] == "damaged").then_some(one)
    })
    .await;
    assert_eq!(
        shown["reason"],
        "its stored component is damaged: upload it again"
    );
    assert!(
        Vault::open(&host).await.get(&mine).await.is_none(),
        "it is not compiled"
    );
    let served = host
        .client()
        .entity("default", "component:default/web")
        .await;
    let served = served.expect("the last good state is served");
    assert_eq!(
        served["metadata"]["annotations"]["example.com/after"],
        "one"
    );
    host.client()
        .post(&activate, &json!({"revision": 1}))
        .await
        .error(409);
    let healed = upload(host.client(), &processor, component).await;
    assert_eq!(healed["state"], "ready");
    // What waits is tried again by itself; a forced refresh is what an owner would do.
    let refresh = "/tenants/default/processing/component/default/web/refresh";
    let _ = host.client().post(refresh, &json!({})).await;
    signed(host.client(), 9).await;
}
