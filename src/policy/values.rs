//! Parsers for values that the language writes as text: networks, hardware addresses, ranges, durations, rates.

use std::time::Duration;

use ipnet::IpNet;

use super::section::Complaint;
pub(super) use crate::document::suggest::{one_of, suggestion};

type Parsed<T> = Result<T, Complaint>;

fn complain<T>(message: String, help: impl Into<String>) -> Parsed<T> {
    Err((message, help.into()))
}

/// `10.20.10.0/24`, `2001:db8::/48`, or one address.
pub(super) fn network(text: &str) -> Parsed<IpNet> {
    let Ok(network) = text.parse::<IpNet>() else { return single_address(text) };
    if network.addr() == network.network() {
        return Ok(network);
    }
    let help = format!("write \"{}\"", network.trunc());
    complain(format!("`{text}` has address bits beyond its prefix length"), help)
}

fn single_address(text: &str) -> Parsed<IpNet> {
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(IpNet::from(address));
    }
    if let Some((_, length)) = text.split_once('/')
        && length.parse::<u16>().is_ok_and(|length| length > 32)
    {
        let help = "the prefix length is at most 32 for IPv4 and 128 for IPv6";
        return complain(format!("`{text}` is not a network"), help);
    }
    complain(format!("`{text}` is not a network"), "write it as \"10.20.10.0/24\" or \"2001:db8::/48\"")
}

/// One IP address.
pub(super) fn address(text: &str) -> Parsed<std::net::IpAddr> {
    text.parse().or_else(|_| {
        complain(
            format!("`{text}` is not an IP address"),
            "write one address such as \"10.20.10.11\" or \"2001:db8::11\"",
        )
    })
}

/// `00:1b:1b:10:20:11`, or with dashes.
pub(super) fn mac(text: &str) -> Parsed<[u8; 6]> {
    let mut octets = [0; 6];
    let mut parts = text.split([':', '-']);
    for octet in &mut octets {
        let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match part.and_then(|part| u8::from_str_radix(part, 16).ok()) {
            Some(value) => *octet = value,
            None => return complain(format!("`{text}` is not a hardware address"), MAC_HELP),
        }
    }
    if parts.next().is_some() {
        return complain(format!("`{text}` is not a hardware address"), MAC_HELP);
    }
    Ok(octets)
}

const MAC_HELP: &str = "write six pairs of hexadecimal digits: \"00:1b:1b:10:20:11\"";

/// `0-39` or `40`: first and last address, 0 to 65535.
pub(super) fn range(text: &str) -> Parsed<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |part: &str| part.trim().parse::<u64>().ok();
    let (Some(first), Some(last)) = (number(first), number(last)) else {
        return complain(format!("`{text}` is not an address or a range"), "write \"40\" or \"0-39\"");
    };
    let (Ok(low), Ok(high)) = (u16::try_from(first), u16::try_from(last)) else {
        return complain(format!("{} is above the last address, 65535", first.max(last)), RANGE_HELP);
    };
    if low > high {
        return complain(format!("the range `{text}` ends before it begins"), format!("write \"{last}-{first}\""));
    }
    Ok((low, high))
}

const RANGE_HELP: &str = "addresses are 0-based as on the wire: 40001 of a manual is register 0 of holding_register";

/// `30s`, `500ms`, `5m`, `4h`, `60d`.
pub(super) fn duration(text: &str) -> Parsed<Duration> {
    let split = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit.trim() {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    match number.parse::<u64>().ok().zip(scale).and_then(|(number, scale)| number.checked_mul(scale)) {
        Some(0) => complain(format!("`{text}` is a duration of zero"), "write a duration above zero, such as \"30s\""),
        Some(millis) => Ok(Duration::from_millis(millis)),
        None => complain(format!("`{text}` is not a duration"), "write \"500ms\", \"30s\", \"5m\", \"4h\" or \"60d\""),
    }
}

/// A number of events in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The number of events.
    pub count: u32,
    /// The period.
    pub per: Duration,
}

/// `20/s`, `1/min`, `4/h`.
pub(super) fn rate(text: &str) -> Parsed<Rate> {
    let parsed = text.split_once('/').and_then(|(count, unit)| {
        let count = count.trim().parse::<u32>().ok().filter(|&count| count > 0)?;
        Some(Rate { count, per: duration(&format!("1{}", unit.trim())).ok()? })
    });
    parsed.map_or_else(|| complain(format!("`{text}` is not a rate"), "write \"20/s\", \"1/min\" or \"4/h\""), Ok)
}

/// `22:00`: minutes since midnight.
pub(super) fn time_of_day(text: &str) -> Parsed<u16> {
    let parsed = text.split_once(':').and_then(|(hour, minute)| {
        let number = |part: &str| part.parse::<u16>().ok().filter(|_| part.len() == 2);
        Some(number(hour)? * 60 + number(minute).filter(|&minute| minute < 60)?)
    });
    let parsed = parsed.filter(|&minutes| minutes <= 24 * 60);
    parsed.map_or_else(|| complain(format!("`{text}` is not a time of day"), "write \"22:00\""), Ok)
}

/// `Mon` to `Sun`: 0 to 6.
pub(super) fn weekday(text: &str) -> Parsed<u8> {
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    one_of(text, "a day of the week", &days)?;
    Ok((0..).zip(days).find(|(_, day)| *day == text).map_or(0, |(number, _)| number))
}

/// `Europe/Amsterdam`, `UTC`. Only the form is checked: a policy must load on a host without time zone data.
pub(super) fn time_zone(text: &str) -> Parsed<String> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte);
    let sound = text.split('/').all(|part| !part.is_empty() && part.bytes().all(letter));
    if sound {
        Ok(text.to_owned())
    } else {
        complain(format!("`{text}` is not a time zone"), "write \"Europe/Amsterdam\" or \"UTC\"")
    }
}

/// `modbus/502`: the name of a protocol, or a carrier, and a port.
pub(super) fn service(text: &str) -> Parsed<()> {
    let known = |name: &str| matches!(name, "tcp" | "udp") || super::services::protocol_name(name).is_some();
    match text.split_once('/') {
        Some((name, _)) if !known(name) => {
            complain(format!("unknown protocol `{name}`"), suggestion(name, &super::services::protocol_names()))
        }
        Some((_, port)) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
        _ => complain(format!("`{text}` is not a service"), "write \"modbus/502\" or \"tcp/8080\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_no_address_bits_beyond_its_prefix() {
        assert!(network("10.20.10.0/24").is_ok());
        assert!(network("2001:db8::/48").is_ok());
        assert_eq!(network("10.20.10.7").map(|net| net.prefix_len()), Ok(32));
        assert_eq!(network("10.20.10.7/24").map_err(|bad| bad.1), Err("write \"10.20.10.0/24\"".into()));
        assert!(network("10.20.10.0/33").is_err_and(|bad| bad.1.contains("at most 32")));
        assert!(network("10.20.300.0/24").is_err());
    }

    #[test]
    fn a_hardware_address_is_six_pairs() {
        assert_eq!(mac("00:1b:1B:10-20-11"), Ok([0, 0x1b, 0x1b, 0x10, 0x20, 0x11]));
        for wrong in
            ["00:1b:1b:10:20", "00:1b:1b:10:20:11:22", "0:1b:1b:10:20:11", "00:1b:1b:10:20:g1", "+1:00:00:00:00:00"]
        {
            assert!(mac(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_range_is_zero_based_and_ordered() {
        assert_eq!(range("0-39"), Ok((0, 39)));
        assert_eq!(range("40"), Ok((40, 40)));
        assert_eq!(range("39-0").map_err(|bad| bad.1), Err("write \"0-39\"".into()));
        assert!(range("65536").is_err_and(|bad| bad.0.contains("65535")));
        assert!(range("0-x").is_err());
        assert!(range("").is_err());
    }

    #[test]
    fn durations_rates_and_times_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("60d"), Ok(Duration::from_secs(60 * 86_400)));
        assert!(duration("30").is_err() && duration("0s").is_err() && duration("99999999999999999999d").is_err());
        assert_eq!(rate("1/min"), Ok(Rate { count: 1, per: Duration::from_secs(60) }));
        assert!(rate("0/s").is_err() && rate("20").is_err());
        assert_eq!(time_of_day("22:00"), Ok(1320));
        assert!(time_of_day("24:01").is_err() && time_of_day("9:00").is_err());
    }
}
