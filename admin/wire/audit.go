package wire

import "time"

// An AuditRecord is something that happened, from the journal of the node that answers, or something that was changed, from
// the history that all nodes share.
type AuditRecord struct {
	Time      time.Time `json:"time"`
	Kind      string    `json:"kind" doc:"object.verb" example:"token.refused"`
	Source    string    `json:"source" enum:"journal,history" doc:"journal: what happened on this node; history: what was changed"`
	Actor     string    `json:"actor,omitempty" doc:"Of a change: the client that made it, or what the server did by itself"`
	Object    string    `json:"object,omitempty" doc:"Of a change: the ID of what was changed"`
	Detail    string    `json:"detail,omitempty" doc:"Of a change: what it is now, as JSON"`
	ClientID  string    `json:"client_id,omitempty"`
	TokenID   string    `json:"token_id,omitempty" doc:"The jti"`
	Reason    string    `json:"reason,omitempty" doc:"Why a request was refused" example:"wrong_secret"`
	Refusal   string    `json:"refusal,omitempty" doc:"The short ID that the refusal's answer had"`
	RequestID string    `json:"request_id,omitempty"`
	Remote    string    `json:"remote,omitempty" doc:"Address of the caller"`
	Scope     string    `json:"scope,omitempty"`
	Audience  []string  `json:"audience,omitempty"`
	Count     int64     `json:"count,omitempty" doc:"How many refusals, or answers with a token given again, the record stands for, if more than one"`
	Sequence  int64     `json:"sequence,omitempty" doc:"Of a change: its number"`
}

// An AuditFilter says which records are wanted. An empty field lets everything pass.
type AuditFilter struct {
	Since     time.Time `query:"since" doc:"Nothing from before"`
	Until     time.Time `query:"until" doc:"Nothing from then on"`
	Client    string    `query:"client" minLength:"1" maxLength:"256" doc:"ID or name of a client: what it did and what was changed about it"`
	Kind      string    `query:"kind" minLength:"1" maxLength:"256" doc:"Such as token.refused; token means all that begin so"`
	Actor     string    `query:"actor" minLength:"1" maxLength:"256" doc:"ID or name of the client that made a change"`
	Reason    string    `query:"reason" minLength:"1" maxLength:"256" doc:"Why a request was refused"`
	RequestID string    `query:"request_id" minLength:"1" maxLength:"256" doc:"The ID of a request"`
}

// An AuditPage is a part of what there is. It may be empty and have a Next: so much was looked through that it is enough for
// one answer.
type AuditPage struct {
	Items    []AuditRecord `json:"items"`
	Next     string        `json:"next,omitempty" doc:"The cursor of the next page; left out when there is no more yet"`
	Position string        `json:"position" doc:"The cursor of what comes later than all that was looked through"`
}

// An AuditReport says whether all that happened and was changed holds together.
type AuditReport struct {
	Good     bool           `json:"good"`
	Findings []AuditFinding `json:"findings" doc:"Every place that does not hold, up to a bound"`
	Notes    []string       `json:"notes,omitempty" doc:"What could not be checked, and why"`
	Journal  JournalReport  `json:"journal"`
	History  HistoryReport  `json:"history"`
}

// An AuditFinding is a place that does not hold.
type AuditFinding struct {
	File string `json:"file,omitempty" doc:"Of the journal" example:"00000007.jsonl"`
	Line int    `json:"line,omitempty" doc:"In the file, from 1"`
	// Change is the sequence in the history.
	Change int64  `json:"change,omitempty" doc:"Of the history: the sequence of the change"`
	Text   string `json:"text" doc:"What is wrong"`
}

// A JournalReport is about the journal of the node that answers.
type JournalReport struct {
	Name        string    `json:"name,omitempty"`
	Files       int       `json:"files"`
	First       string    `json:"first,omitempty" doc:"The oldest file that is here: those before it are in an archive"`
	Lines       int       `json:"lines"`
	Checkpoints int       `json:"checkpoints" doc:"Signed ones in it"`
	Signed      time.Time `json:"signed,omitzero" doc:"When the last one was"`
	Unsigned    int       `json:"unsigned" doc:"Lines behind the last one: nobody would know if they were cut off"`
	Keys        []string  `json:"keys,omitempty" doc:"The public keys that signatures were checked with"`
}

// A HistoryReport is about what was changed.
type HistoryReport struct {
	Checked bool  `json:"checked"`
	Changes int64 `json:"changes"`
	Signed  int64 `json:"signed" doc:"The change up to which a checkpoint covers them"`
}
