mod links;
mod properties;
mod wrappings;
