package example;

import java.util.List;
import java.util.Map;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.security.oauth2.server.resource.autoconfigure.OAuth2ResourceServerProperties;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.http.SessionCreationPolicy;
import org.springframework.security.core.annotation.AuthenticationPrincipal;
import org.springframework.security.oauth2.jwt.Jwt;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;

/** An API that takes Writ's tokens: GET /orders needs the scope orders:read. */
@SpringBootApplication
@RestController
class Orders {
    public static void main(String[] args) {
        SpringApplication.run(Orders.class, args);
    }

    @GetMapping("/orders")
    List<Map<String, String>> orders(@AuthenticationPrincipal Jwt token) {
        return List.of(Map.of("id", "1", "for", token.getClaimAsString("client_id")));
    }

    @Bean
    SecurityFilterChain protect(HttpSecurity http) throws Exception {
        return http
            .authorizeHttpRequests(to -> to
                .requestMatchers("/call").permitAll() // Call.java; not part of the API
                .requestMatchers("/orders").hasAuthority("SCOPE_orders:read")
                .anyRequest().denyAll())
            .oauth2ResourceServer(server -> server.jwt(Customizer.withDefaults()))
            .sessionManagement(session -> session.sessionCreationPolicy(SessionCreationPolicy.STATELESS))
            .csrf(csrf -> csrf.disable()) // no cookies, so nothing to forge
            .build();
    }

    /** Spring takes tokens of the type "JWT"; an access token says "at+jwt" (RFC 9068), and every other type is refused. */
    @Bean
    JwtDecoder decoder(OAuth2ResourceServerProperties properties) {
        var jwt = properties.getJwt();
        var decoder = NimbusJwtDecoder.withIssuerLocation(jwt.getIssuerUri()).validateType(false).build();
        decoder.setJwtValidator(JwtValidators.createAtJwtValidator()
            .issuer(jwt.getIssuerUri())
            .audience(jwt.getAudiences().get(0))
            .build());
        return decoder;
    }
}
