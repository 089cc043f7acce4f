mod encapsulations;
mod links;
mod properties;
