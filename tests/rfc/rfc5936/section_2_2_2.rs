//! §2.2.2, question section.

use crate::prelude::*;

cases![the_question_is_in_the_first_message];

/// "In the first response message, this section MUST be copied from the query".
fn the_question_is_in_the_first_message(server: &Server) {
    let messages = server.transfer("main.test.");
    let question = messages[0].question.as_ref().expect("a question");
    assert_eq!(question.name.to_name().to_string(), "main.test.");
    assert_eq!(question.rtype, RecordType::AXFR);
}
