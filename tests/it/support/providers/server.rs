//! The wire of all of them: HTTP/1.1 by hand on a socket, so that an answer can be reset, dripped, cut short or never come.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    /// With its query.
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    pub at: Instant,
}

impl Call {
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn form(&self) -> BTreeMap<String, String> {
        pairs(&self.body)
    }

    pub fn query(&self) -> BTreeMap<String, String> {
        pairs(self.target.split_once('?').map(|(_, query)| query).unwrap_or_default().as_bytes())
    }
}

fn pairs(text: &[u8]) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(text).map(|(n, v)| (n.into_owned(), v.into_owned())).collect()
}

/// A message that was taken over.
#[derive(Clone, Debug)]
pub struct Taken {
    pub id: String,
    /// As it was written in the call.
    pub to: String,
    /// What was sent, in the provider's own shape.
    pub content: Value,
    pub at: Instant,
}

/// What a provider makes of a call.
#[derive(Clone, Debug)]
pub struct Judged {
    pub status: u16,
    pub answer: Value,
    pub taken: Option<Taken>,
    /// What a real one would have refused it for.
    pub complaint: Option<String>,
}

impl Judged {
    pub fn refused(status: u16, answer: Value, complaint: impl Into<String>) -> Self {
        Self { status, answer, taken: None, complaint: Some(complaint.into()) }
    }

    pub fn taken(status: u16, answer: Value, id: String, to: String, content: Value) -> Self {
        let taken = Some(Taken { id, to, content, at: Instant::now() });
        Self { status, answer, taken, complaint: None }
    }
}

/// How a call goes wrong. Those that name an answer take nothing over, unless they say so.
#[derive(Clone, Debug)]
pub enum Fault {
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Takes it over, and answers 200 with this.
    TakenAnswer(Vec<u8>),
    /// Takes it over, and says half of it.
    CutShort,
    /// Takes it over, and never says so.
    Hang,
    /// Takes it over, and answers one byte a second.
    Drip,
    /// Never looks at it.
    ResetBefore,
    /// Takes it over, and breaks off.
    ResetAfter,
}

impl Fault {
    pub fn status(status: u16) -> Self {
        Self::json(status, &serde_json::json!({}))
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Fault::Answer { status, headers: Vec::new(), body: body.to_string().into() }
    }

    /// An error as WhatsApp words it.
    pub fn whatsapp(status: u16, code: i64) -> Self {
        let message = "(#x) a text that holds +919876543210 and 482913";
        let error = serde_json::json!({ "error": {
            "message": message, "type": "OAuthException", "code": code,
            "error_data": { "details": message }, "fbtrace_id": "A1b2C3",
        } });
        Self::json(status, &error)
    }

    pub fn too_many(retry_after: Option<&str>) -> Self {
        let headers =
            retry_after.map(|wait| ("Retry-After", wait.to_owned())).into_iter().collect();
        Fault::Answer { status: 429, headers, body: b"{}".to_vec() }
    }

    pub fn html(status: u16) -> Self {
        let body = b"<html><body><h1>Bad Gateway</h1></body></html>".to_vec();
        Fault::Answer { status, headers: vec![("Content-Type", "text/html".into())], body }
    }

    pub fn moved(to: &str) -> Self {
        let headers = vec![("Location", to.to_owned())];
        Fault::Answer { status: 301, headers, body: Vec::new() }
    }

    /// Takes it over, and answers far more than anybody reads.
    pub fn huge() -> Self {
        Fault::TakenAnswer(vec![b' '; 20 * 1024 * 1024])
    }

    fn takes_over(&self) -> bool {
        !matches!(self, Fault::Answer { .. } | Fault::ResetBefore)
    }
}

struct Planned {
    fault: Fault,
    /// Only on calls whose target or body holds this.
    on: String,
    /// None: for ever.
    times: Option<usize>,
}

type Judge = Box<dyn Fn(&Call) -> Judged + Send + Sync>;

struct Shared {
    judge: Judge,
    planned: Mutex<Vec<Planned>>,
    calls: Mutex<Vec<Call>>,
    sent: Mutex<Vec<Taken>>,
    complaints: Mutex<Vec<String>>,
    under_way: Mutex<(usize, usize)>, // now, and at most
    lenient: AtomicBool,
}

/// One provider.
pub struct ProviderServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

impl ProviderServer {
    pub async fn start(judge: impl Fn(&Call) -> Judged + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            judge: Box::new(judge),
            planned: Mutex::default(),
            calls: Mutex::default(),
            sent: Mutex::default(),
            complaints: Mutex::default(),
            under_way: Mutex::default(),
            lenient: AtomicBool::new(false),
        });
        let serving = tokio::spawn(serve(listener, shared.clone()));
        Self { address, shared, serving }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next call goes wrong so; several are played in their order.
    pub fn play(&self, fault: Fault) {
        self.plan(fault, "", Some(1));
    }

    /// The next call to this number, in digits.
    pub fn play_to(&self, number: &str, fault: Fault) {
        self.plan(fault, number, Some(1));
    }

    /// Every call that holds this text, until `calm`. Of all calls, with an empty one.
    pub fn play_on(&self, text: &str, fault: Fault) {
        self.plan(fault, text, None);
    }

    /// No more faults.
    pub fn calm(&self) {
        self.shared.planned.lock().unwrap().clear();
    }

    fn plan(&self, fault: Fault, on: &str, times: Option<usize>) {
        self.shared.planned.lock().unwrap().push(Planned { fault, on: on.to_owned(), times });
    }

    /// All calls that came.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }

    /// What was taken over, also where the answer never arrived.
    pub fn sent(&self) -> Vec<Taken> {
        self.shared.sent.lock().unwrap().clone()
    }

    /// To this number, in digits.
    pub fn sent_to(&self, number: &str) -> Vec<Taken> {
        let mut sent = self.sent();
        sent.retain(|taken| taken.to.trim_start_matches('+') == number);
        sent
    }

    /// How many calls were under way at once, at most.
    pub fn most_at_once(&self) -> usize {
        self.shared.under_way.lock().unwrap().1
    }

    /// What had to be refused. Whoever asks takes it on, and no test fails for it.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.lenient.store(true, Ordering::Relaxed);
        self.shared.complaints.lock().unwrap().clone()
    }
}

impl Drop for ProviderServer {
    fn drop(&mut self) {
        self.serving.abort();
        let complaints = self.shared.complaints.lock().unwrap().clone();
        let lenient = self.shared.lenient.load(Ordering::Relaxed) || std::thread::panicking();
        assert!(lenient || complaints.is_empty(), "a real provider refuses: {complaints:#?}");
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let shared = shared.clone();
        // A client that breaks off is no fault of this end.
        sessions.spawn(async move { session(socket, &shared).await.ok() });
        while sessions.try_join_next().is_some() {}
    }
}

async fn session(socket: TcpStream, shared: &Shared) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut wire = BufStream::new(socket);
    while let Some(call) = read_call(&mut wire).await? {
        let _under_way = UnderWay::new(shared);
        shared.calls.lock().unwrap().push(call.clone());
        let fault = shared.next_fault(&call);
        let judged = match fault.as_ref().is_none_or(Fault::takes_over) {
            true => Some((shared.judge)(&call)),
            false => None,
        };
        if let Some(judged) = &judged {
            shared.sent.lock().unwrap().extend(judged.taken.clone());
            shared.complaints.lock().unwrap().extend(judged.complaint.clone());
        }
        let good = judged.map(|judged| (judged.status, judged.answer.to_string().into_bytes()));
        match (fault, good) {
            (None, Some((status, body))) => answer(&mut wire, status, &[], &body).await?,
            (Some(Fault::Answer { status, headers, body }), _) => {
                answer(&mut wire, status, &headers, &body).await?;
            }
            (Some(Fault::TakenAnswer(body)), _) => answer(&mut wire, 200, &[], &body).await?,
            (Some(Fault::CutShort), Some((status, body))) => {
                wire.write_all(&head(status, &[], body.len())).await?;
                wire.write_all(&body[..body.len() / 2]).await?;
                return wire.flush().await;
            }
            (Some(Fault::Drip), Some((status, body))) => {
                wire.write_all(&head(status, &[], body.len())).await?;
                for byte in body {
                    wire.write_all(&[byte]).await?;
                    wire.flush().await?;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            (Some(Fault::Hang), _) => {
                // Until the caller goes away.
                let _ = wire.read(&mut [0; 1]).await;
                return Ok(());
            }
            (Some(Fault::ResetBefore | Fault::ResetAfter), _) => {
                return wire.get_ref().set_zero_linger();
            }
            (None | Some(Fault::CutShort | Fault::Drip), None) => unreachable!("they are judged"),
        }
    }
    Ok(())
}

struct UnderWay<'a>(&'a Shared);

impl<'a> UnderWay<'a> {
    fn new(shared: &'a Shared) -> Self {
        let mut under_way = shared.under_way.lock().unwrap();
        under_way.0 += 1;
        under_way.1 = under_way.1.max(under_way.0);
        drop(under_way);
        Self(shared)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.lock().unwrap().0 -= 1;
    }
}

impl Shared {
    fn next_fault(&self, call: &Call) -> Option<Fault> {
        let mut planned = self.planned.lock().unwrap();
        let body = String::from_utf8_lossy(&call.body);
        let at = planned
            .iter()
            .position(|planned| call.target.contains(&planned.on) || body.contains(&planned.on))?;
        match &mut planned[at].times {
            Some(1) => Some(planned.remove(at).fault),
            Some(times) => {
                *times -= 1;
                Some(planned[at].fault.clone())
            }
            None => Some(planned[at].fault.clone()),
        }
    }
}

async fn read_call(wire: &mut BufStream<TcpStream>) -> std::io::Result<Option<Call>> {
    let mut line = String::new();
    if wire.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        if wire.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    wire.read_exact(&mut body).await?;
    Ok(Some(Call { method, target, headers, body, at: Instant::now() }))
}

fn head(status: u16, headers: &[(&'static str, String)], length: usize) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n");
    if !headers.iter().any(|(name, _)| *name == "Content-Type") {
        head.push_str("Content-Type: application/json\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

async fn answer(
    wire: &mut BufStream<TcpStream>,
    status: u16,
    headers: &[(&'static str, String)],
    body: &[u8],
) -> std::io::Result<()> {
    wire.write_all(&head(status, headers, body.len())).await?;
    wire.write_all(body).await?;
    wire.flush().await
}
