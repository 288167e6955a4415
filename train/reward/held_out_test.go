package reward

import "testing"

func TestAShareOfTheRankingsIsHeldOutWhereNoFileIs(t *testing.T) {
	engine := newCPU(t, 1)
	w := newWorkplace(t, 60)
	w.inputs.Validation = ""
	c := small()
	c.ValidationShare = .3
	m, out := runIn(t, engine, c, w, "held")
	v, err := ReadValidation(out)
	if err != nil {
		t.Fatal(err)
	}
	if held := float64(v.Prompts); held < 1 || m.Metrics["rankings"]+held > 60 || m.Metrics["validation/accuracy"] == 0 {
		t.Errorf("%v rankings are learned and %v held out; %v", m.Metrics["rankings"], held, m.Metrics)
	}
}
