//! The small services beside Compute Engine, on the same port: the price list, the project as
//! Resource Manager knows it, and what is enabled in it.

mod projects;
mod sku;
mod skus;

use crate::gcp::method::Method;

/// Compute Engine, in the price list. Cloud Billing documentation, "Get Google Cloud pricing
/// information".
const COMPUTE_ENGINE: &str = "6F81-5844-456A";

pub(crate) const METHODS: &[Method] = &[
    Method { id: "services.list", verb: "GET", path: "v1/services", answer: skus::services },
    Method { id: "skus.list", verb: "GET", path: "v1/services/{service}/skus", answer: skus::list },
    Method {
        id: "cloudresourcemanager.projects.get",
        verb: "GET",
        path: "v3/projects/{project}",
        answer: projects::get,
    },
    Method {
        id: "cloudresourcemanager.projects.testIamPermissions",
        verb: "POST",
        path: "v3/projects/{project}:testIamPermissions",
        answer: projects::test_iam_permissions,
    },
    // The same two in the version before, which programs still speak.
    Method {
        id: "cloudresourcemanager.v1.projects.get",
        verb: "GET",
        path: "v1/projects/{project}",
        answer: projects::get_v1,
    },
    Method {
        id: "cloudresourcemanager.v1.projects.testIamPermissions",
        verb: "POST",
        path: "v1/projects/{project}:testIamPermissions",
        answer: projects::test_iam_permissions,
    },
    Method {
        id: "serviceusage.services.get",
        verb: "GET",
        path: "v1/projects/{project}/services/{service}",
        answer: projects::service,
    },
];
