//! The two versions of the protocol, as far as one who publishes, or listens to a topic, needs them.

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{self as old, v4};
use rumqttc::v5::mqttbytes::{self as new, v5};

use super::{Address, Quality, Version};

/// Packets of one version.
#[derive(Debug, Clone, Copy)]
pub struct Wire {
    pub version: Version,
    /// The largest packet that is read.
    pub most: usize,
}

/// Who greets, and whether it was there before.
#[derive(Debug, Clone)]
pub struct Identity {
    pub client: String,
    /// For how many seconds the server keeps what comes while nobody listens; 0 for not at all.
    pub kept: u32,
}

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    pub topic: String,
    pub payload: Bytes,
    /// To be acknowledged; 0 if the server does not wait for it.
    pub number: u16,
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// The connection is open, on these terms.
    Welcome(Terms),
    /// The connection is refused.
    Refused(String),
    /// A message of QoS 1 arrived, or will not be taken.
    Acknowledged(u16, Result<(), String>),
    /// A message of QoS 2 arrived and waits for its release, or will not be taken.
    Received(u16, Result<(), String>),
    /// A message of QoS 2 is done.
    Completed(u16),
    /// The server lives.
    Pong,
    /// The server ends the connection.
    Farewell(String),
    /// The topic is listened to from now on, or not.
    Subscribed(Result<(), String>),
    /// A message came.
    Message(Arrived),
    /// Nothing that matters.
    Else,
}

/// What the server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// How many messages may wait for their acknowledgement, if it says.
    pub inflight: Option<u16>,
    /// The highest quality of service.
    pub quality: Option<u8>,
    /// The largest packet.
    pub packet: Option<u32>,
    /// How often it wants a sign of life, in seconds.
    pub keep_alive: Option<u16>,
}

/// The largest packet that is read where a server has only acknowledgements to send.
pub const MOST: usize = 64 << 10;

impl Wire {
    /// Asks for a connection.
    pub fn connect(
        self,
        address: &Address,
        identity: &Identity,
        keep_alive: u16,
        out: &mut BytesMut,
    ) -> Result<(), String> {
        let (user, password) = (address.user.clone(), address.password.clone());
        let somebody = !(user.is_empty() && password.is_empty());
        match self.version {
            Version::V3 => {
                let mut connect = v4::Connect::new(identity.client.as_str());
                connect.keep_alive = keep_alive;
                connect.clean_session = identity.kept == 0;
                connect.login = somebody.then(|| v4::Login::new(user, password));
                write_v3(&v4::Packet::Connect(connect), out)
            }
            Version::V5 => {
                let login = somebody.then(|| v5::Login::new(user, password));
                let connect = v5::Connect {
                    keep_alive,
                    client_id: identity.client.clone(),
                    clean_start: identity.kept == 0,
                    properties: (identity.kept > 0).then(|| v5::ConnectProperties {
                        session_expiry_interval: Some(identity.kept),
                        max_packet_size: u32::try_from(self.most).ok(),
                        ..v5::ConnectProperties::new()
                    }),
                };
                write_v5(&v5::Packet::Connect(connect, None, login), out)
            }
        }
    }

    /// Sends a message; the number is 0 for QoS 0.
    pub fn publish(
        self,
        topic: &str,
        quality: Quality,
        number: u16,
        payload: Bytes,
        out: &mut BytesMut,
    ) -> Result<(), String> {
        match self.version {
            Version::V3 => {
                let quality = match quality {
                    Quality::AtMostOnce => old::QoS::AtMostOnce,
                    Quality::AtLeastOnce => old::QoS::AtLeastOnce,
                    Quality::ExactlyOnce => old::QoS::ExactlyOnce,
                };
                let mut publish = v4::Publish::from_bytes(topic, quality, payload);
                publish.pkid = number;
                write_v3(&v4::Packet::Publish(publish), out)
            }
            Version::V5 => {
                let quality = match quality {
                    Quality::AtMostOnce => new::QoS::AtMostOnce,
                    Quality::AtLeastOnce => new::QoS::AtLeastOnce,
                    Quality::ExactlyOnce => new::QoS::ExactlyOnce,
                };
                let properties = v5::PublishProperties {
                    payload_format_indicator: Some(1),
                    content_type: Some("application/json".to_owned()),
                    ..v5::PublishProperties::default()
                };
                let mut publish = v5::Publish::new(topic, quality, payload, Some(properties));
                publish.pkid = number;
                write_v5(&v5::Packet::Publish(publish), out)
            }
        }
    }

    /// Asks for the messages of topics, in QoS 0 or 1.
    pub fn subscribe(self, filter: &str, sure: bool, out: &mut BytesMut) -> Result<(), String> {
        match self.version {
            Version::V3 => {
                let quality = if sure { old::QoS::AtLeastOnce } else { old::QoS::AtMostOnce };
                let mut packet = v4::Subscribe::new(filter, quality);
                packet.pkid = 1;
                write_v3(&v4::Packet::Subscribe(packet), out)
            }
            Version::V5 => {
                let quality = if sure { new::QoS::AtLeastOnce } else { new::QoS::AtMostOnce };
                let mut packet = v5::Subscribe::new(v5::Filter::new(filter, quality), None);
                packet.pkid = 1;
                write_v5(&v5::Packet::Subscribe(packet), out)
            }
        }
    }

    /// Says that a message of QoS 1 was taken.
    pub fn acknowledge(self, number: u16, out: &mut BytesMut) -> Result<(), String> {
        match self.version {
            Version::V3 => write_v3(&v4::Packet::PubAck(v4::PubAck::new(number)), out),
            Version::V5 => write_v5(&v5::Packet::PubAck(v5::PubAck::new(number, None)), out),
        }
    }

    /// Lets go of a message of QoS 2.
    pub fn release(self, number: u16, out: &mut BytesMut) -> Result<(), String> {
        match self.version {
            Version::V3 => write_v3(&v4::Packet::PubRel(v4::PubRel::new(number)), out),
            Version::V5 => write_v5(&v5::Packet::PubRel(v5::PubRel::new(number, None)), out),
        }
    }

    /// Asks whether the server lives.
    pub fn ping(self, out: &mut BytesMut) -> Result<(), String> {
        match self.version {
            Version::V3 => write_v3(&v4::Packet::PingReq, out),
            Version::V5 => write_v5(&v5::Packet::PingReq(v5::PingReq), out),
        }
    }

    /// Ends the connection in order.
    pub fn disconnect(self, out: &mut BytesMut) -> Result<(), String> {
        match self.version {
            Version::V3 => write_v3(&v4::Packet::Disconnect, out),
            Version::V5 => {
                let normal = v5::DisconnectReasonCode::NormalDisconnection;
                write_v5(&v5::Packet::Disconnect(v5::Disconnect::new(normal)), out)
            }
        }
    }

    /// Takes one packet from what was received, if one is complete.
    pub fn read(self, heard: &mut BytesMut) -> Result<Option<Heard>, String> {
        match self.version {
            Version::V3 => {
                match old::check(heard.iter(), self.most) {
                    Ok(_) => {}
                    Err(old::Error::InsufficientBytes(_)) => return Ok(None),
                    Err(why) => return Err(why.to_string()),
                }
                let packet = v4::Packet::read(heard, self.most).map_err(|why| why.to_string())?;
                Ok(Some(heard_v3(packet)))
            }
            Version::V5 => {
                match v5::check(heard.iter(), u32::try_from(self.most).ok()) {
                    Ok(_) => {}
                    Err(new::Error::InsufficientBytes(_)) => return Ok(None),
                    Err(why) => return Err(why.to_string()),
                }
                let refusal = refusal_of_v3(heard);
                match v5::Packet::read(heard, u32::try_from(self.most).ok()) {
                    Ok(packet) => Ok(Some(heard_v5(packet))),
                    Err(why) => match refusal {
                        Some(refusal) => Ok(Some(refusal)),
                        None => Err(why.to_string()),
                    },
                }
            }
        }
    }
}

/// What a server that speaks only 3.1.1 answers to a greeting in 5.0.
fn refusal_of_v3(heard: &BytesMut) -> Option<Heard> {
    match heard[..] {
        [0x20, 2, _, code, ..] if code != 0 => Some(Heard::Refused(match code {
            1 => "it does not speak MQTT 5.0 (notifierInfo MQTT-Version)".to_owned(),
            code => format!("it refuses with {code}"),
        })),
        _ => None,
    }
}

fn write_v3(packet: &v4::Packet, out: &mut BytesMut) -> Result<(), String> {
    packet.write(out, usize::MAX).map(drop).map_err(|why| why.to_string())
}

fn write_v5(packet: &v5::Packet, out: &mut BytesMut) -> Result<(), String> {
    packet.write(out, None).map(drop).map_err(|why| why.to_string())
}

fn heard_v3(packet: v4::Packet) -> Heard {
    match packet {
        v4::Packet::ConnAck(ack) => match ack.code {
            v4::ConnectReturnCode::Success => Heard::Welcome(Terms::default()),
            code => Heard::Refused(format!("it refuses: {code:?}")),
        },
        v4::Packet::PubAck(ack) => Heard::Acknowledged(ack.pkid, Ok(())),
        v4::Packet::PubRec(ack) => Heard::Received(ack.pkid, Ok(())),
        v4::Packet::PubComp(ack) => Heard::Completed(ack.pkid),
        v4::Packet::PingResp => Heard::Pong,
        v4::Packet::SubAck(ack) => Heard::Subscribed(match ack.return_codes.first() {
            Some(old::v4::SubscribeReasonCode::Success(_)) => Ok(()),
            code => Err(format!("{code:?}")),
        }),
        v4::Packet::Publish(message) => Heard::Message(Arrived {
            topic: message.topic,
            payload: message.payload,
            number: if message.qos == old::QoS::AtLeastOnce { message.pkid } else { 0 },
        }),
        v4::Packet::Disconnect => Heard::Farewell(String::new()),
        _ => Heard::Else,
    }
}

fn heard_v5(packet: v5::Packet) -> Heard {
    match packet {
        v5::Packet::ConnAck(ack) => match (ack.code, ack.properties) {
            (v5::ConnectReturnCode::Success, None) => Heard::Welcome(Terms::default()),
            (v5::ConnectReturnCode::Success, Some(said)) => Heard::Welcome(Terms {
                inflight: said.receive_max,
                quality: said.max_qos,
                packet: said.max_packet_size,
                keep_alive: said.server_keep_alive,
            }),
            (code, said) => {
                let reason = said.and_then(|said| said.reason_string).unwrap_or_default();
                Heard::Refused(format!("it refuses: {code:?} {reason}").trim_end().to_owned())
            }
        },
        v5::Packet::PubAck(ack) => Heard::Acknowledged(
            ack.pkid,
            match ack.reason {
                v5::PubAckReason::Success | v5::PubAckReason::NoMatchingSubscribers => Ok(()),
                reason => Err(format!("{reason:?}")),
            },
        ),
        v5::Packet::PubRec(ack) => Heard::Received(
            ack.pkid,
            match ack.reason {
                v5::PubRecReason::Success | v5::PubRecReason::NoMatchingSubscribers => Ok(()),
                reason => Err(format!("{reason:?}")),
            },
        ),
        v5::Packet::PubComp(ack) => Heard::Completed(ack.pkid),
        v5::Packet::PingResp(_) => Heard::Pong,
        v5::Packet::SubAck(ack) => Heard::Subscribed(match ack.return_codes.first() {
            Some(new::v5::SubscribeReasonCode::Success(_)) => Ok(()),
            code => Err(format!("{code:?}")),
        }),
        v5::Packet::Publish(message) => Heard::Message(Arrived {
            topic: String::from_utf8_lossy(&message.topic).into_owned(),
            payload: message.payload,
            number: if message.qos == new::QoS::AtLeastOnce { message.pkid } else { 0 },
        }),
        v5::Packet::Disconnect(end) => Heard::Farewell(format!("{:?}", end.reason_code)),
        _ => Heard::Else,
    }
}
