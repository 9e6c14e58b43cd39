package wire

import "time"

// An Explanation tells an operator why a request was refused.
type Explanation struct {
	ID         string            `json:"id" doc:"What the answer to the caller was called" example:"7k3m9x2qpt"`
	Time       time.Time         `json:"time"`
	Endpoint   string            `json:"endpoint" doc:"token, introspection, revocation or registration" example:"token"`
	ClientID   string            `json:"client_id" doc:"Whom the request named, which need not be who sent it; empty: nobody"`
	Client     string            `json:"client_name" doc:"The name of the client, if there is one now" example:"billing"`
	Remote     string            `json:"remote" doc:"The address of the caller"`
	RequestID  string            `json:"request_id" doc:"What the log calls the request"`
	Answer     string            `json:"answer" doc:"What the caller was told"`
	Reason     string            `json:"reason" doc:"Why, in a fixed word" example:"secret_expired"`
	Rule       string            `json:"rule" doc:"The same as a sentence"`
	Presented  map[string]string `json:"presented" doc:"What the request had, as its sender wrote it and as far as it is no secret"`
	Registered map[string]string `json:"registered" doc:"What is registered about it now"`
	Remedy     string            `json:"remedy" doc:"What would have worked"`
	Commands   []string          `json:"commands" doc:"Commands that mend it, each in its way"`
	Counted    int64             `json:"counted" doc:"When the journal has no line for this refusal alone: how many refusals its line stands for. Else 0"`
}
