//! What a connection to a broker runs on, and the row that describes the sink.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use super::Mqtt;
use super::url::Broker;
use crate::publish::sink::{Access, CommandOption, Origin, Setting, SettingKind, Sink, SinkOptions, SinkSetup};
use crate::publish::topic::{self, Topics};
use crate::publish::{PublishError, Publisher};

/// Alerts to an MQTT broker.
pub(in crate::publish) const SINK: &Sink = &Sink {
    name: "mqtt",
    title: "MQTT broker",
    receiver: "broker",
    stage: "acknowledgement",
    heading: "MQTT",
    address: Setting {
        key: "url",
        kind: SettingKind::Text,
        option: Some(CommandOption {
            long: "mqtt",
            short: Some('m'),
            value_name: "URL",
            help: "Publish alerts to this broker: `mqtt://HOST[:PORT][/PREFIX][?version=3.1.1]`. User and password come \
                   from LOCKKEEPER_MQTT_USER and LOCKKEEPER_MQTT_PASSWORD",
            range: None,
        }),
    },
    example: "url = \"mqtt://soc-broker\"",
    settings: &[PASSWORD_FILE, QUEUE, QUEUE_MIB, GIVE_UP_AFTER, ACK_TIMEOUT],
    configure: |options, origin| Ok(Box::new(Setup::new(options, origin)?)),
};

const PASSWORD_FILE: Setting = Setting {
    key: "password_file",
    kind: SettingKind::File,
    option: Some(CommandOption {
        long: "mqtt-password-file",
        short: None,
        value_name: "FILE",
        help: "File whose first line is the password, instead of LOCKKEEPER_MQTT_PASSWORD",
        range: None,
    }),
};

const QUEUE: Setting =
    Setting { key: "queue", kind: SettingKind::Number { default: None, range: 1..=1_048_576 }, option: None };

const QUEUE_MIB: Setting = Setting {
    key: "queue_mib",
    kind: SettingKind::Number { default: Some(QUEUE_MEBIBYTES), range: 1..=4096 },
    option: None,
};

const GIVE_UP_AFTER: Setting = Setting {
    key: "give_up_after",
    kind: SettingKind::Number { default: Some(GIVE_UP_SECONDS), range: 1..=3600 },
    option: Some(CommandOption {
        long: "mqtt-give-up-after",
        short: None,
        value_name: "SECONDS",
        help: "Seconds after which a broker is given up: in a replay without progress, in a sensor after it is asked to \
               stop",
        range: None,
    }),
};

const ACK_TIMEOUT: Setting = Setting {
    key: "ack_timeout",
    kind: SettingKind::Number { default: Some(ACK_SECONDS), range: 1..=3600 },
    option: Some(CommandOption {
        long: "mqtt-ack-timeout",
        short: None,
        value_name: "SECONDS",
        help: "Seconds within which the broker must acknowledge a record, before it is sent again on another connection",
        range: Some(1..=3600),
    }),
};

/// A broker to connect to.
#[derive(Debug)]
struct Setup {
    settings: Settings,
    /// The length of the queue, where one was given.
    queue: Option<usize>,
}

impl Setup {
    fn new(options: &SinkOptions, origin: &Origin<'_>) -> Result<Self, PublishError> {
        let seconds = |setting| options.number(setting).map(Duration::from_secs);
        let mut settings = Settings::new(&options.address, origin.site, origin.sensor)?;
        settings.credentials = Credentials::load(|name| std::env::var(name).ok(), options.file(&PASSWORD_FILE))?;
        settings.give_up_after = seconds(&GIVE_UP_AFTER);
        settings.ack_timeout = seconds(&ACK_TIMEOUT).unwrap_or(settings.ack_timeout);
        settings.queue_bytes = options.number(&QUEUE_MIB).map_or(settings.queue_bytes, |mebibytes| mebibytes << 20);
        let queue = options.number(&QUEUE).and_then(|queue| usize::try_from(queue).ok());
        Ok(Self { settings, queue })
    }
}

impl SinkSetup for Setup {
    fn access(&self) -> Access {
        let host = self.settings.broker.host.trim_matches(['[', ']']);
        let resolves = host.parse::<IpAddr>().is_err();
        Access { connect: vec![self.settings.broker.port], resolves, ..Access::default() }
    }

    fn connect(self: Box<Self>) -> Result<Box<dyn Publisher>, PublishError> {
        Ok(Box::new(Mqtt::connect(self.settings)?))
    }

    fn start(self: Box<Self>) -> Result<Box<dyn Publisher>, PublishError> {
        let queue = self.queue.unwrap_or(LIVE_QUEUE);
        Ok(Box::new(Mqtt::start(Settings { queue, ..self.settings })?))
    }
}

/// How to reach a broker, and how long to wait for it.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) broker: Broker,
    pub(super) topics: Topics,
    pub(super) site: String,
    pub(super) sensor: String,
    /// User and password, where the broker asks for them.
    pub(super) credentials: Option<Credentials>,
    /// Records in flight without an acknowledgement, at most (1..=1000). A broker can ask for fewer.
    pub(super) window: u16,
    /// Records in the queue, at most. Beyond that, a replay waits and a sensor drops records.
    pub(super) queue: usize,
    /// Bytes of records in the queue and in flight, at most. Beyond that, a sensor drops records.
    pub(super) queue_bytes: u64,
    /// How long one attempt to connect may take.
    pub(super) connect_timeout: Duration,
    /// How long the broker may take to acknowledge a record, before it is sent again on another connection.
    pub(super) ack_timeout: Duration,
    /// How long a broker may be silent before it is pinged. The connection is lost after half as long again.
    pub(super) keep_alive: Duration,
    /// The first pause between attempts; it doubles with each failure in a row.
    pub(super) first_pause: Duration,
    /// The longest pause between attempts to connect: how late a broker that is back may be noticed.
    pub(super) longest_pause: Duration,
    /// The longest pause between attempts to send a record that the broker temporarily refuses.
    pub(super) longest_retry: Duration,
    /// How long to wait before the remaining records are given up; `None` is no limit. In a replay, the time without any
    /// acknowledgement. In a sensor, the time since it was asked to stop, even if records are acknowledged meanwhile.
    pub(super) give_up_after: Option<Duration>,
    /// A sensor publishes, not a replay.
    pub(super) live: bool,
}

impl Settings {
    /// Parses a URL `mqtt://host[:port][/prefix][?version=3.1.1&client_id=name]`. The prefix, which can have several
    /// levels, is `lockkeeper` by default.
    pub(super) fn new(url: &str, site: &str, sensor: &str) -> Result<Self, PublishError> {
        let broker = Broker::parse(url)?;
        Ok(Self {
            topics: Topics::new(&broker.prefix, site, sensor),
            broker,
            site: site.to_owned(),
            sensor: sensor.to_owned(),
            credentials: None,
            window: 64,
            queue: 1024,
            queue_bytes: QUEUE_MEBIBYTES << 20,
            connect_timeout: Duration::from_secs(5),
            ack_timeout: Duration::from_secs(ACK_SECONDS),
            keep_alive: Duration::from_secs(15),
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(5),
            longest_retry: Duration::from_secs(30),
            give_up_after: Some(Duration::from_secs(GIVE_UP_SECONDS)),
            live: false,
        })
    }

    /// The client identifier: unique for each run, so that two replays do not take over each other's session.
    pub(super) fn client_id(&self) -> String {
        let made = || format!("lockkeeper-{}-{}", topic::topic_level(&self.sensor), std::process::id());
        self.broker.client_id.clone().unwrap_or_else(made)
    }

    /// The payload of the topic `status`: `online` or `offline`.
    pub(super) fn status(&self, status: &str) -> Vec<u8> {
        let json = serde_json::json!({
            "schema": "lockkeeper/status/1", "status": status, "sensor": self.sensor, "site": self.site,
        });
        json.to_string().into_bytes()
    }
}

/// User and password for a broker. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

impl Credentials {
    /// Reads `LOCKKEEPER_MQTT_USER` and `LOCKKEEPER_MQTT_PASSWORD` through `variable`; the password comes from the first
    /// line of a file instead if one is given. `None` without a user.
    pub(super) fn load(
        variable: impl Fn(&str) -> Option<String>,
        password_file: Option<&Path>,
    ) -> Result<Option<Self>, PublishError> {
        let Some(user) = variable(USER).filter(|user| !user.is_empty()) else { return Ok(None) };
        let password = match password_file {
            Some(path) => first_line(path)?,
            None => variable(PASSWORD).unwrap_or_default(),
        };
        Ok(Some(Self { user, password }))
    }
}

fn first_line(path: &Path) -> Result<String, PublishError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| PublishError::PasswordFile { path: path.display().to_string(), source })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Credentials {{ user: {:?}, password: *** }}", self.user)
    }
}

const USER: &str = "LOCKKEEPER_MQTT_USER";
const PASSWORD: &str = "LOCKKEEPER_MQTT_PASSWORD";

/// The defaults of [`QUEUE_MIB`], [`GIVE_UP_AFTER`] and [`ACK_TIMEOUT`].
const QUEUE_MEBIBYTES: u64 = 64;
const GIVE_UP_SECONDS: u64 = 10;
const ACK_SECONDS: u64 = 20;

/// Records in the queue of a sensor while the broker is away: days of a plant without incidents, some 30 MiB.
const LIVE_QUEUE: usize = 16_384;
