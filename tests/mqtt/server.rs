//! A mosquitto on ports of its own, and somebody who listens to it.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use bytes::Bytes;
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use tokio::sync::mpsc;

/// A running mosquitto.
pub struct Mosquitto {
    folder: tempfile::TempDir,
    process: Option<Child>,
    /// Takes everybody.
    pub open: u16,
    /// Takes `sensor` with the password `sécret`.
    pub guarded: u16,
    /// Takes everybody, over TLS.
    pub tls: u16,
}

impl Mosquitto {
    /// Starts one that has never run before.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [open, guarded, tls] = free_ports();
        certificates(folder.path());
        let passwords = folder.path().join("passwords");
        run(Command::new(program("mosquitto_passwd"))
            .args(["-c", "-b"])
            .arg(&passwords)
            .args(["sensor", "sécret"]));
        let place = folder.path().display();
        let settings = format!(
            "user root\nper_listener_settings true\npersistence false\n\
             listener {open} 127.0.0.1\nallow_anonymous true\n\
             listener {guarded} 127.0.0.1\nallow_anonymous false\npassword_file {place}/passwords\n\
             listener {tls} 127.0.0.1\nallow_anonymous true\n\
             certfile {place}/server.pem\nkeyfile {place}/server.key\n"
        );
        fs::write(folder.path().join("mosquitto.conf"), settings).unwrap();
        let mut server = Self { folder, process: None, open, guarded, tls };
        server.again();
        server
    }

    /// Starts it once more, on the same ports.
    pub fn again(&mut self) {
        let process = Command::new(program("mosquitto"))
            .arg("-c")
            .arg(self.folder.path().join("mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.process = Some(process);
        while TcpStream::connect(("127.0.0.1", self.tls)).is_err() {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "mosquitto ended: {ended:?}");
            sleep(Duration::from_millis(20));
        }
    }

    /// Ends it.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// The certificate of the authority that vouches for it.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Somebody who listens to a topic.
pub struct Listener {
    heard: mpsc::UnboundedReceiver<(String, Bytes)>,
    // Dropping it would end the connection.
    _client: AsyncClient,
}

impl Listener {
    /// Listens, from when this returns.
    pub async fn on(server: &Mosquitto, topic: &str) -> Self {
        let mut options = MqttOptions::new("listener", "127.0.0.1", server.open);
        options.set_keep_alive(Duration::from_secs(30));
        let (client, mut events) = AsyncClient::new(options, 16);
        client.subscribe(topic, QoS::ExactlyOnce).await.unwrap();
        loop {
            if let Event::Incoming(Incoming::SubAck(_)) = events.poll().await.unwrap() {
                break;
            }
        }
        let (tell, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                if let Event::Incoming(Incoming::Publish(message)) = event
                    && tell.send((message.topic, message.payload)).is_err()
                {
                    break;
                }
            }
        });
        Self { heard, _client: client }
    }

    /// The next message: its topic and what it holds.
    pub async fn next(&mut self) -> (String, Bytes) {
        self.heard.recv().await.unwrap()
    }
}

fn program(name: &str) -> PathBuf {
    let places =
        ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/sbin"];
    places
        .iter()
        .map(|place| Path::new(place).join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: scripts/test installs it"))
}

fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let held: [TcpListener; COUNT] =
        std::array::from_fn(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// An authority, and what it vouches for: `localhost`.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        run(Command::new(program("openssl"))
            .current_dir(folder)
            .args(arguments.split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::null()));
    };
    fs::write(
        folder.join("names"),
        "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n",
    )
    .unwrap();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout authority.key -out authority.pem -days 2 -subj /CN=authority"
    ));
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"));
    openssl(
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial \
         -out server.pem -days 2 -extfile names",
    );
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
