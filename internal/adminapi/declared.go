package adminapi

import "context"

// MaxDeclaredBody bounds the body of a declaration in bytes: some 8 000 clients. No other body is as large.
const MaxDeclaredBody = 4 << 20

func (a *api) planDeclared(ctx context.Context, in *sent[Declaration]) (*answer[DeclaredPlan], error) {
	return answered(a.registry.PlanDeclared(ctx, actor(ctx), in.Body))
}

func (a *api) applyDeclared(ctx context.Context, in *sent[Declaration]) (*answer[DeclaredPlan], error) {
	return answered(a.registry.ApplyDeclared(ctx, actor(ctx), in.Body))
}

// bodyLimit returns how large the body of an operation may be.
func bodyLimit(id string) int64 {
	if id == "planDeclared" || id == "applyDeclared" {
		return MaxDeclaredBody
	}
	return maxBody
}
