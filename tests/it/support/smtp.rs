//! A mail server that answers as real ones do, refusals and failures included, and keeps what it accepted.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// How it is disposed towards letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Accept,
    /// Thinks for so long before it says anything about a letter, and then accepts.
    Slow(Duration),
    /// Says nothing about a letter until its mood changes; then acts by the new one.
    Hang,
    /// Breaks the connection off when it has the whole letter, without having kept it.
    Reset,
    /// Greets so.
    Greeting(&'static str),
    /// Answers so to a sign-in.
    SignIn(&'static str),
    /// Answers so to the sender.
    Sender(&'static str),
    /// Hangs up when it hears the sender.
    HangUp,
    /// Answers so to the word `DATA`.
    Data(&'static str),
    /// Answers so to the recipient.
    Recipient(&'static str),
    /// Answers so to the whole letter.
    Letter(&'static str),
}

/// A letter that it has taken over: once its `250` is on its way, it is its own to lose.
#[derive(Clone, Debug)]
pub struct Mail {
    pub message_id: String,
    /// Of the envelope: where it comes back to.
    pub from: String,
    pub to: String,
    pub at: Instant,
}

struct Shared {
    mood: Mutex<Mood>,
    accepted: Mutex<Vec<Mail>>,
    /// Letters that came whole, whatever was said to them: their Message-IDs, and all that they said.
    seen: Mutex<Vec<String>>,
    letters: Mutex<Vec<String>>,
}

pub struct SmtpServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    /// Bound and deaf: whoever connects is refused.
    deaf: Option<TcpSocket>,
    serving: Option<JoinHandle<()>>,
}

impl SmtpServer {
    /// One that is down: it has an address, and refuses connections.
    pub fn down() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Accept),
            accepted: Mutex::default(),
            seen: Mutex::default(),
            letters: Mutex::default(),
        });
        let address = socket.local_addr().unwrap();
        Self { address, shared, deaf: Some(socket), serving: None }
    }

    /// One that accepts.
    pub fn up() -> Self {
        let mut server = Self::down();
        server.rise();
        server
    }

    /// From now on it listens.
    pub fn rise(&mut self) {
        let listener = self.deaf.take().expect("it was down").listen(256).unwrap();
        self.serving = Some(tokio::spawn(serve(listener, self.shared.clone())));
    }

    /// `NADI_SMTP_URL`
    pub fn setting(&self) -> (&'static str, String) {
        ("NADI_SMTP_URL", format!("smtp://{}", self.address))
    }

    pub fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    pub fn accepted(&self) -> Vec<Mail> {
        self.shared.accepted.lock().unwrap().clone()
    }

    /// When each letter was accepted, by Message-ID.
    pub fn arrivals(&self) -> BTreeMap<String, Vec<Instant>> {
        let mut arrivals = BTreeMap::<_, Vec<_>>::new();
        for mail in self.accepted() {
            arrivals.entry(mail.message_id).or_default().push(mail.at);
        }
        arrivals
    }

    /// All that letters said which came whole, refused ones too.
    pub fn letters(&self) -> Vec<String> {
        self.shared.letters.lock().unwrap().clone()
    }

    /// How many letters came whole, refused ones too.
    pub fn seen(&self) -> usize {
        self.shared.seen.lock().unwrap().len()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut sessions = tokio::task::JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let shared = shared.clone();
        // A client that is killed breaks off in the middle: no fault of this end.
        sessions.spawn(async move { session(socket, &shared).await.ok() });
    }
}

async fn session(socket: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut wire = BufStream::new(socket);
    let (mut from, mut to) = (String::new(), String::new());
    let mood = || *shared.mood.lock().unwrap();
    match mood() {
        Mood::Greeting(greeting) => say(&mut wire, greeting).await?,
        _ => say(&mut wire, "220 mail.example ESMTP").await?,
    }
    loop {
        let mut line = String::new();
        if wire.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let verb = line.split([' ', ':', '\r']).next().unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => "250-mail.example\r\n250-AUTH PLAIN\r\n250 8BITMIME",
            "AUTH" => match mood() {
                Mood::SignIn(answer) => answer,
                _ => "235 2.7.0 welcome",
            },
            "MAIL" => {
                from = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                match mood() {
                    Mood::Sender(answer) => answer,
                    Mood::HangUp => return Ok(()),
                    _ => "250 2.1.0 OK",
                }
            }
            "RCPT" => {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                match mood() {
                    Mood::Recipient(answer) => answer,
                    _ => "250 2.1.5 OK",
                }
            }
            "DATA" => {
                if let Mood::Data(answer) = mood() {
                    say(&mut wire, answer).await?;
                    continue;
                }
                say(&mut wire, "354 go ahead").await?;
                let (message_id, letter) = read_letter(&mut wire).await?;
                shared.letters.lock().unwrap().push(letter);
                shared.seen.lock().unwrap().push(message_id.clone());
                match judge(shared).await {
                    Mood::Reset => {
                        wire.get_ref().set_zero_linger()?;
                        return Ok(());
                    }
                    Mood::Letter(answer) => answer,
                    _ => {
                        let (from, to, at) = (from.clone(), to.clone(), Instant::now());
                        let mail = Mail { message_id, from, to, at };
                        shared.accepted.lock().unwrap().push(mail);
                        "250 2.0.0 taken over"
                    }
                }
            }
            "QUIT" => {
                say(&mut wire, "221 bye").await?;
                return Ok(());
            }
            _ => "250 OK", // RSET, NOOP
        };
        say(&mut wire, answer).await?;
    }
}

/// Waits as its mood says; the mood after that is what counts.
async fn judge(shared: &Shared) -> Mood {
    let now = *shared.mood.lock().unwrap();
    if let Mood::Slow(thinking) = now {
        tokio::time::sleep(thinking).await;
        return Mood::Accept;
    }
    loop {
        let mood = *shared.mood.lock().unwrap();
        if mood != Mood::Hang {
            return mood;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Reads to the lone dot, and gives the Message-ID and the whole.
async fn read_letter(wire: &mut BufStream<TcpStream>) -> std::io::Result<(String, String)> {
    let (mut message_id, mut letter) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        if wire.read_line(&mut line).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == ".\r\n" {
            return Ok((message_id, letter));
        }
        if let Some(id) = line.strip_prefix("Message-ID: ") {
            message_id = id.trim().trim_matches(['<', '>']).to_owned();
        }
        letter.push_str(&line);
    }
}

async fn say(wire: &mut BufStream<TcpStream>, text: &str) -> std::io::Result<()> {
    wire.write_all(format!("{text}\r\n").as_bytes()).await?;
    wire.flush().await
}
