package main

import (
	"bytes"
	"fmt"
	"html"
)

// The chart, in pixels.
const (
	chartWidth  = 860
	labelWidth  = 270
	barHeight   = 18
	barStep     = 30
	chartTop    = 64
	scaleRight  = chartWidth - 100 // where 1 stands
	scalePixels = scaleRight - labelWidth
)

// chartOf draws the ratios at 64 connections: a bar for each row, the limit where they would end at best, a mark where they
// were promised to get. It is readable on a light and on a dark page.
func chartOf(results []result, connections int) []byte {
	var rows []result
	for _, r := range results {
		if r.connections == connections && r.rate == 0 && r.failed == nil {
			rows = append(rows, r)
		}
	}
	height := chartTop + len(rows)*barStep + 24
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="Writ's requests a second, as a part of the limit's">
<style>
text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600; font-size: 15px } .faint { fill: #57606a }
.bar { fill: #2f6f9f } .line { stroke: #afb8c1 } .limit { stroke: #24292f; stroke-width: 1.5 } .promise { stroke: #c4432b; stroke-width: 2.5 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .faint { fill: #9198a1 } .bar { fill: #5aa2d6 } .line { stroke: #3d444d } .limit { stroke: #e6edf3 } .promise { stroke: #ff8f73 } }
</style>
<text x="12" y="24" class="title">Writ's requests a second, as a part of the limit's (one core, %d connections)</text>
`, chartWidth, height, chartWidth, height, connections)
	bottom := chartTop + len(rows)*barStep
	for i := 0; i <= 4; i++ {
		x, class := labelWidth+scalePixels*i/4, "line"
		if i == 4 {
			class = "limit"
		}
		fmt.Fprintf(&out, `<line x1="%d" y1="%d" x2="%d" y2="%d" class="%s"/><text x="%d" y="%d" text-anchor="middle" class="faint">%.2f</text>`+"\n",
			x, chartTop-8, x, bottom, class, x, chartTop-14, float64(i)/4)
	}
	for i, r := range rows {
		drawBar(&out, r, chartTop+i*barStep)
	}
	fmt.Fprintf(&out, `<text x="%d" y="%d" class="faint">1.00 is the limit; the red marks are what was promised</text>`+"\n</svg>\n", labelWidth, bottom+18)
	return out.Bytes()
}

func drawBar(out *bytes.Buffer, r result, y int) {
	at := func(share float64) int { return labelWidth + int(min(share, 1.08)*scalePixels) }
	title := r.title
	if r.name == "es256-rfc6979" {
		title += ", limit with RFC 6979"
	}
	middle := y + barHeight - 4
	fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%d" height="%d" rx="2" class="bar"/>`,
		labelWidth-10, middle, html.EscapeString(plain(title)), labelWidth, y, at(r.ratio)-labelWidth, barHeight)
	if r.target > 0 {
		fmt.Fprintf(out, `<line x1="%d" y1="%d" x2="%d" y2="%d" class="promise"/>`, at(r.target), y-3, at(r.target), y+barHeight+3)
	}
	fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="end">%.2f</text>`+"\n", chartWidth-12, middle, r.ratio)
}

// plain is a title without Markdown.
func plain(title string) string { return string(bytes.ReplaceAll([]byte(title), []byte("`"), nil)) }
