//! §2.3.3, character case.

use crate::prelude::*;

cases![
    case_does_not_count_in_questions,
    the_case_of_the_question_comes_back,
    the_case_of_data_is_kept [
        Knot Should "target.types.test."
            "\"case should be preserved whenever possible\"; Knot keeps names in data in lower \
             case",
        Nsd Should "target.types.test."
            "\"case should be preserved whenever possible\"; NSD keeps names in lower case",
    ],
];

fn case_does_not_count_in_questions(server: &Server) {
    for question in ["HOST.MAIN.TEST. A", "hOsT.mAiN.tEsT. A"] {
        server.ask(question).answers("host.main.test. 300 A 192.0.2.1");
    }
    server.ask("mixed.main.test. A").answers("MiXeD.main.test. 300 A 192.0.2.13");
}

/// The question section is copied, so its case is (0x20 depends on it).
fn the_case_of_the_question_comes_back(server: &Server) {
    let reply = server.ask("hOsT.mAiN.tEsT. A");
    let name = reply.question.as_ref().expect("a question").name.to_name();
    assert_eq!(name.to_string(), "hOsT.mAiN.tEsT.", "{reply}");
}

/// "this case should be preserved whenever possible".
fn the_case_of_data_is_kept(server: &Server) {
    let reply = server.ask("ptr.types.test. PTR");
    assert_eq!(reply.answer.len(), 1, "{reply}");
    assert_eq!(reply.answer[0].rdata[..], *b"\x06Target\x05Types\x04Test\0", "{reply}");
}
