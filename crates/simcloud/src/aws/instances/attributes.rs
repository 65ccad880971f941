use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use skyfleet_core::Market;

use crate::aws::Request;
use crate::aws::creation::is_id;
use crate::aws::error::{coded, invalid};
use crate::aws::instances::item::{Moment, Xml};
use crate::aws::instances::{malformed, unknown};
use crate::aws::launched::{existing, volume_id};
use crate::aws::xml::Done;
use crate::refusal::Refusal;

/// `DescribeInstanceAttribute`: one at a time.
pub(crate) fn describe(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let (id, attribute) = (root.required("InstanceId")?, root.required("Attribute")?);
    if !is_id("i", id) {
        return Err(malformed(id));
    }
    let xml = request.call(0, |kernel, ec2| {
        let view = existing(kernel, request.region, id).ok_or_else(|| unknown(&[id]))?;
        let details = ec2.launched.of(view.launch).ok_or_else(|| unknown(&[id]))?;
        let mut xml = Xml::default();
        xml.text("instanceId", id);
        let value = |xml: &mut Xml, text: &str| xml.part(attribute, |xml| xml.text("value", text));
        match attribute {
            "userData" => xml.part("userData", |xml| {
                let data = kernel.user_data(id).filter(|data| !data.is_empty());
                xml.maybe("value", data.map(|data| STANDARD.encode(data.as_bytes())).as_deref());
            }),
            "disableApiTermination" => value(&mut xml, &ec2.launched.is_protected(&view).to_string()),
            "instanceInitiatedShutdownBehavior" => {
                value(&mut xml, if details.stops_on_shutdown { "stop" } else { "terminate" });
            }
            "instanceType" => value(&mut xml, view.offer.instance_type.as_str()),
            "rootDeviceName" => value(&mut xml, &details.root_device),
            "ebsOptimized" => value(&mut xml, &details.ebs_optimized.to_string()),
            "enaSupport" | "sourceDestCheck" => value(&mut xml, "true"),
            "disableApiStop" => value(&mut xml, "false"),
            "sriovNetSupport" => value(&mut xml, "simple"),
            "kernel" | "ramdisk" => xml.part(attribute, |_| {}),
            "productCodes" => xml.part("productCodes", |_| {}),
            "enclaveOptions" => xml.part("enclaveOptions", |xml| xml.plain("enabled", false)),
            "groupSet" => xml.groups(&details.groups),
            "blockDeviceMapping" => xml.part("blockDeviceMapping", |xml| {
                xml.part("item", |xml| {
                    xml.text("deviceName", &details.root_device);
                    xml.part("ebs", |xml| {
                        xml.plain("attachTime", Moment(view.launched));
                        xml.plain("deleteOnTermination", details.delete_on_termination);
                        xml.text("status", "attached");
                        xml.text("volumeId", &volume_id(&view.id));
                    });
                });
            }),
            other => return Err(invalid("Attribute", other, "the name of an attribute of instances")),
        }
        Ok(xml)
    })?;
    Ok(request.answer_written(xml.0))
}

/// `ModifyInstanceAttribute`: the protection against termination.
pub(crate) fn modify(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let id = root.required("InstanceId")?;
    if !is_id("i", id) {
        return Err(malformed(id));
    }
    let named = root.text("Attribute") == Some("disableApiTermination");
    let protect = match named {
        true => root.flag("Value")?,
        false => root.node("DisableApiTermination").flag("Value")?,
    };
    let Some(protect) = protect else {
        let message = "This simulated EC2 changes one attribute of instances: disableApiTermination.";
        return Err(coded(400, "UnsupportedOperation", message));
    };
    request.call(0, |kernel, ec2| {
        let view = existing(kernel, request.region, id).ok_or_else(|| unknown(&[id]))?;
        if protect && view.offer.market == Market::Spot {
            let message = "You cannot use disableApiTermination with Spot Instances.";
            return Err(coded(400, "UnsupportedOperation", message));
        }
        ec2.launched.protect(&view.id, protect);
        Ok(())
    })?;
    request.answer(&Done { done: true })
}
