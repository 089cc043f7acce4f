//! The options of the sinks, made from their table.

use std::path::PathBuf;

use clap::{Arg, ArgGroup, ArgMatches, Args, Command, FromArgMatches, value_parser};

use crate::publish::SINKS;
use crate::publish::sink::{CommandOption, Setting, SettingKind, SettingValue, Sink, SinkOptions};

/// The sinks whose address was given, each with its settings.
#[derive(Clone, Debug)]
pub struct Sinks(pub Vec<SinkOptions>);

/// The name of the group of all these options.
pub(super) const GROUP: &str = "Sinks";

impl Args for Sinks {
    /// Adds the address of each sink under the current heading, and its settings under a heading of their own.
    fn augment_args(command: Command) -> Command {
        let mut group = ArgGroup::new(GROUP).multiple(true);
        let mut args = Vec::new();
        for sink in SINKS {
            args.extend(argument(&sink.address, None));
            args.extend(sink.settings.iter().filter_map(|setting| argument(setting, Some(sink.heading))));
        }
        for arg in &args {
            group = group.arg(arg.get_id());
        }
        command.args(args).group(group)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Sinks {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(SINKS.iter().filter_map(|sink| options(sink, matches)).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn argument(setting: &Setting, heading: Option<&'static str>) -> Option<Arg> {
    let CommandOption { long, short, value_name, help, range } = setting.option.as_ref()?;
    let mut arg = Arg::new(*long).long(*long).value_name(*value_name);
    arg = match &setting.kind {
        SettingKind::Text => arg.help(*help),
        SettingKind::File => arg.help(*help).value_parser(value_parser!(PathBuf)),
        SettingKind::Number { default, .. } => {
            let help = default.map_or_else(|| (*help).to_owned(), |default| format!("{help} [default: {default}]"));
            let bounds = range.as_ref().map_or(0..=u64::MAX, |range| (*range.start()).into()..=(*range.end()).into());
            arg.help(help).value_parser(value_parser!(u64).range(bounds))
        }
    };
    if let Some(short) = short {
        arg = arg.short(*short);
    }
    Some(if let Some(heading) = heading { arg.help_heading(heading) } else { arg })
}

/// The options of one sink; `None` without its address.
fn options(sink: &'static Sink, matches: &ArgMatches) -> Option<SinkOptions> {
    let address = matches.get_one::<String>(sink.address.option.as_ref()?.long)?;
    let mut options = SinkOptions::new(sink, address.clone());
    for setting in sink.settings {
        let Some(CommandOption { long, .. }) = setting.option else { continue };
        let value = match setting.kind {
            SettingKind::Text => matches.get_one(long).cloned().map(SettingValue::Text),
            SettingKind::File => matches.get_one(long).cloned().map(SettingValue::File),
            SettingKind::Number { .. } => matches.get_one(long).copied().map(SettingValue::Number),
        };
        value.into_iter().for_each(|value| options.set(setting, value));
    }
    Some(options)
}
