//! What the operator says of all resources: beside what they say of themselves, never instead of it.

use std::collections::BTreeMap;

use super::{describe::AGENT, snapshot::Resource};

/// Attributes that outputs add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Added to each resource that has no attribute of that name.
    pub attributes: BTreeMap<String, String>,
    /// `service.name` of the agent's own resource. On the wire alone: its key stays, for totals are kept by it.
    pub service_name: Option<String>,
}

impl Added {
    /// The attributes that are the resource's own.
    pub fn own<'a>(&'a self, resource: &'a Resource) -> impl Iterator<Item = (&'a str, &'a str)> {
        let name = self.service_name.as_deref().filter(|_| is_agent(resource));
        resource.attributes.iter().map(move |(key, value)| match name {
            Some(name) if *key == "service.name" => (*key, name),
            _ => (*key, value.as_str()),
        })
    }

    /// Those that are added to them.
    pub fn more<'a>(&'a self, resource: &'a Resource) -> impl Iterator<Item = (&'a str, &'a str)> {
        let is_free = |key: &str| resource.attributes.iter().all(|(own, _)| *own != key);
        self.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str())).filter(move |(key, _)| is_free(key))
    }
}

fn is_agent(resource: &Resource) -> bool {
    resource.id.namespace == "wattrace" && resource.id.name == AGENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Triplet;

    fn resource(name: &str) -> Resource {
        let id =
            Triplet { namespace: "wattrace".to_owned(), name: name.to_owned(), instance: format!("host-1/{name}") };
        let mut attributes = Vec::from(id.attributes());
        attributes.push(("host.name", "one".to_owned()));
        Resource { id, attributes }
    }

    fn said(added: &Added, name: &str) -> Vec<String> {
        let resource = resource(name);
        let all = added.own(&resource).chain(added.more(&resource));
        all.map(|(key, value)| format!("{key}={value}")).collect()
    }

    #[test]
    fn nothing_is_replaced_but_the_name_of_the_agent() {
        let added = Added {
            attributes: [("host.name", "two"), ("env", "lab")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            service_name: Some("mine".to_owned()),
        };
        let rest = |name: &str| {
            let own = ["service.namespace=wattrace", &format!("service.name={name}")].map(str::to_owned);
            let instance = if name == "mine" { "agent" } else { name };
            let rest =
                [&format!("service.instance.id=host-1/{instance}"), "host.name=one", "env=lab"].map(str::to_owned);
            [own.to_vec(), rest.to_vec()].concat()
        };
        assert_eq!(said(&added, "node"), rest("node"));
        assert_eq!(said(&added, "kernel"), rest("kernel"));
        assert_eq!(said(&added, "agent"), rest("mine"));
        assert!(said(&Added::default(), "agent").contains(&"service.name=agent".to_owned()));
    }
}
