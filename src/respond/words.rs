//! What the pages say, in the reader's language.

use crate::messaging::templates::Language;

/// A page that only says something: its title, and a sentence.
pub type Notice = (&'static str, &'static str);

pub struct Words {
    pub when: &'static str,
    pub with: &'static str,
    pub place: &'static str,
    pub kept_until: &'static str,
    // ── buttons ──
    pub confirm: &'static str,
    pub cancel: &'static str,
    pub accept: &'static str,
    pub decline: &'static str,
    // ── titles ──
    pub will_you_come: &'static str,
    pub you_come: &'static str,
    pub is_cancelled: &'static str,
    pub your_visit: &'static str,
    pub a_time_is_free: &'static str,
    pub it_is_booked: &'static str,
    pub you_let_it_pass: &'static str,
    // ── what could not be ──
    pub nothing_here: Notice,
    pub has_moved: Notice,
    pub not_kept: Notice,
    pub over: Notice,
    pub busy_then: Notice,
    pub cannot_be: Notice,
    pub one_moment: Notice,
    pub no_answer: Notice,
    pub not_now: Notice,
}

pub fn words(language: Language) -> &'static Words {
    match language {
        Language::En => &EN,
        Language::Hi => &HI,
        Language::Mr => &MR,
        Language::Ml => &ML,
    }
}

const EN: Words = Words {
    when: "When",
    with: "With",
    place: "Where",
    kept_until: "Kept until",
    confirm: "I will come",
    cancel: "Cancel the appointment",
    accept: "I take this time",
    decline: "No, thank you",
    will_you_come: "Will you come?",
    you_come: "Thank you: you are coming",
    is_cancelled: "Your appointment is cancelled",
    your_visit: "Your appointment",
    a_time_is_free: "A time is free for you",
    it_is_booked: "Thank you: it is booked for you",
    you_let_it_pass: "You let this time pass",
    nothing_here: ("Nothing here", "This link is not complete, or not ours."),
    has_moved: (
        "This appointment has moved",
        "Please use the link of the newest message about it.",
    ),
    not_kept: (
        "This time is not kept any more",
        "You keep your place on the list, and hear from us about the next.",
    ),
    over: ("This link is over", "The time of the appointment has come. Please call the clinic."),
    busy_then: (
        "You have another appointment then",
        "Please move that one first, or call the clinic. Until its end the time stays kept for you.",
    ),
    cannot_be: (
        "This cannot be done any more",
        "The appointment has changed since the message. Please call the clinic.",
    ),
    one_moment: ("One moment", "Please try again in a minute."),
    no_answer: ("That is no answer", "Please go back, and press one of the buttons."),
    not_now: ("Not now", "The clinic cannot be reached at the moment. Please try again soon."),
};

const HI: Words = Words {
    when: "समय",
    with: "डॉक्टर",
    place: "स्थान",
    kept_until: "आपके लिए रखा गया है, इस समय तक",
    confirm: "मैं आऊँगा/आऊँगी",
    cancel: "अपॉइंटमेंट रद्द करें",
    accept: "यह समय मुझे चाहिए",
    decline: "नहीं, धन्यवाद",
    will_you_come: "क्या आप आएँगे?",
    you_come: "धन्यवाद: आपका आना तय है",
    is_cancelled: "आपका अपॉइंटमेंट रद्द हो गया है",
    your_visit: "आपका अपॉइंटमेंट",
    a_time_is_free: "आपके लिए एक समय खाली है",
    it_is_booked: "धन्यवाद: यह आपके लिए बुक हो गया है",
    you_let_it_pass: "आपने यह समय छोड़ दिया",
    nothing_here: ("यहाँ कुछ नहीं है", "यह लिंक अधूरा है, या हमारा नहीं है।"),
    has_moved: ("इस अपॉइंटमेंट का समय बदल गया है", "कृपया इसके बारे में सबसे नए संदेश का लिंक खोलें।"),
    not_kept: (
        "यह समय अब आपके लिए रखा हुआ नहीं है",
        "सूची में आपका स्थान बना हुआ है; अगला समय खाली होने पर हम आपको बताएँगे।",
    ),
    over: ("इस लिंक का समय बीत गया", "अपॉइंटमेंट का समय आ चुका है। कृपया क्लिनिक को फ़ोन करें।"),
    busy_then: (
        "उस समय आपका दूसरा अपॉइंटमेंट है",
        "कृपया पहले उसका समय बदलें, या क्लिनिक को फ़ोन करें। तब तक यह समय आपके लिए रखा रहेगा।",
    ),
    cannot_be: ("अब यह नहीं हो सकता", "संदेश के बाद अपॉइंटमेंट में बदलाव हुआ है। कृपया क्लिनिक को फ़ोन करें।"),
    one_moment: ("कृपया थोड़ा रुकें", "एक मिनट बाद फिर कोशिश करें।"),
    no_answer: ("यह कोई उत्तर नहीं है", "कृपया वापस जाएँ और कोई एक बटन दबाएँ।"),
    not_now: ("अभी नहीं", "इस समय क्लिनिक से संपर्क नहीं हो पा रहा है। कृपया थोड़ी देर में फिर कोशिश करें।"),
};

const MR: Words = Words {
    when: "वेळ",
    with: "डॉक्टर",
    place: "ठिकाण",
    kept_until: "आपल्यासाठी राखीव, या वेळेपर्यंत",
    confirm: "मी येणार आहे",
    cancel: "अपॉइंटमेंट रद्द करा",
    accept: "ही वेळ मला हवी आहे",
    decline: "नको, धन्यवाद",
    will_you_come: "आपण येणार आहात का?",
    you_come: "धन्यवाद: आपले येणे निश्चित झाले आहे",
    is_cancelled: "आपली अपॉइंटमेंट रद्द झाली आहे",
    your_visit: "आपली अपॉइंटमेंट",
    a_time_is_free: "आपल्यासाठी एक वेळ मोकळी आहे",
    it_is_booked: "धन्यवाद: ती आपल्यासाठी बुक झाली आहे",
    you_let_it_pass: "आपण ही वेळ सोडली",
    nothing_here: ("येथे काही नाही", "ही लिंक अपूर्ण आहे, किंवा आमची नाही."),
    has_moved: ("या अपॉइंटमेंटची वेळ बदलली आहे", "कृपया तिच्याबद्दलच्या सर्वांत नवीन संदेशातील लिंक उघडा."),
    not_kept: (
        "ही वेळ आता आपल्यासाठी राखीव नाही",
        "यादीतील आपले स्थान कायम आहे; पुढची वेळ मोकळी झाल्यावर आम्ही आपल्याला कळवू.",
    ),
    over: ("या लिंकची मुदत संपली", "अपॉइंटमेंटची वेळ झाली आहे. कृपया क्लिनिकला फोन करा."),
    busy_then: (
        "त्या वेळी आपली दुसरी अपॉइंटमेंट आहे",
        "कृपया आधी तिची वेळ बदला, किंवा क्लिनिकला फोन करा. तोपर्यंत ही वेळ आपल्यासाठी राखीव राहील.",
    ),
    cannot_be: ("हे आता करता येणार नाही", "संदेशानंतर अपॉइंटमेंटमध्ये बदल झाला आहे. कृपया क्लिनिकला फोन करा."),
    one_moment: ("एक क्षण", "कृपया एका मिनिटाने पुन्हा प्रयत्न करा."),
    no_answer: ("हे उत्तर नाही", "कृपया मागे जा आणि एक बटण दाबा."),
    not_now: ("आत्ता नाही", "सध्या क्लिनिकशी संपर्क होत नाही. कृपया थोड्या वेळाने पुन्हा प्रयत्न करा."),
};

const ML: Words = Words {
    when: "സമയം",
    with: "ഡോക്ടർ",
    place: "സ്ഥലം",
    kept_until: "താങ്കൾക്കായി മാറ്റിവെച്ചിരിക്കുന്നത് ഈ സമയം വരെ",
    confirm: "ഞാൻ വരും",
    cancel: "അപ്പോയിന്റ്മെന്റ് റദ്ദാക്കുക",
    accept: "ഈ സമയം എനിക്ക് വേണം",
    decline: "വേണ്ട, നന്ദി",
    will_you_come: "താങ്കൾ വരുമോ?",
    you_come: "നന്ദി: താങ്കൾ വരുമെന്ന് ഉറപ്പായി",
    is_cancelled: "താങ്കളുടെ അപ്പോയിന്റ്മെന്റ് റദ്ദാക്കി",
    your_visit: "താങ്കളുടെ അപ്പോയിന്റ്മെന്റ്",
    a_time_is_free: "താങ്കൾക്കായി ഒരു സമയം ഒഴിവുണ്ട്",
    it_is_booked: "നന്ദി: അത് താങ്കൾക്കായി ബുക്ക് ചെയ്തു",
    you_let_it_pass: "താങ്കൾ ഈ സമയം വേണ്ടെന്നുവെച്ചു",
    nothing_here: ("ഇവിടെ ഒന്നുമില്ല", "ഈ ലിങ്ക് പൂർണ്ണമല്ല, അല്ലെങ്കിൽ ഞങ്ങളുടേതല്ല."),
    has_moved: (
        "ഈ അപ്പോയിന്റ്മെന്റിന്റെ സമയം മാറി",
        "ഇതിനെക്കുറിച്ചുള്ള ഏറ്റവും പുതിയ സന്ദേശത്തിലെ ലിങ്ക് ഉപയോഗിക്കുക.",
    ),
    not_kept: (
        "ഈ സമയം ഇപ്പോൾ താങ്കൾക്കായി മാറ്റിവെച്ചിട്ടില്ല",
        "പട്ടികയിലെ താങ്കളുടെ സ്ഥാനം നിലനിൽക്കുന്നു; അടുത്ത സമയം ഒഴിവാകുമ്പോൾ ഞങ്ങൾ അറിയിക്കാം.",
    ),
    over: ("ഈ ലിങ്കിന്റെ സമയം കഴിഞ്ഞു", "അപ്പോയിന്റ്മെന്റിന്റെ സമയമായി. ദയവായി ക്ലിനിക്കിലേക്ക് വിളിക്കുക."),
    busy_then: (
        "ആ സമയത്ത് താങ്കൾക്ക് മറ്റൊരു അപ്പോയിന്റ്മെന്റ് ഉണ്ട്",
        "ദയവായി ആദ്യം അതിന്റെ സമയം മാറ്റുക, അല്ലെങ്കിൽ ക്ലിനിക്കിലേക്ക് വിളിക്കുക. അതുവരെ ഈ സമയം താങ്കൾക്കായി മാറ്റിവെക്കും.",
    ),
    cannot_be: (
        "ഇത് ഇനി ചെയ്യാനാവില്ല",
        "സന്ദേശത്തിനു ശേഷം അപ്പോയിന്റ്മെന്റ് മാറിയിട്ടുണ്ട്. ദയവായി ക്ലിനിക്കിലേക്ക് വിളിക്കുക.",
    ),
    one_moment: ("ഒരു നിമിഷം", "ഒരു മിനിറ്റിനു ശേഷം വീണ്ടും ശ്രമിക്കുക."),
    no_answer: ("ഇതൊരു മറുപടിയല്ല", "ദയവായി തിരികെ പോയി ഒരു ബട്ടൺ അമർത്തുക."),
    not_now: ("ഇപ്പോൾ കഴിയില്ല", "ഇപ്പോൾ ക്ലിനിക്കുമായി ബന്ധപ്പെടാനാവുന്നില്ല. അൽപസമയത്തിനു ശേഷം വീണ്ടും ശ്രമിക്കുക."),
};
