package client

// Schedule is exported to tests.
var Schedule = schedule
