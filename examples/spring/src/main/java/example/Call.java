package example;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.security.oauth2.client.AuthorizedClientServiceOAuth2AuthorizedClientManager;
import org.springframework.security.oauth2.client.OAuth2AuthorizedClientService;
import org.springframework.security.oauth2.client.registration.ClientRegistrationRepository;
import org.springframework.security.oauth2.client.web.client.OAuth2ClientHttpRequestInterceptor;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestClient;

import static org.springframework.security.oauth2.client.web.client.RequestAttributeClientRegistrationIdResolver.clientRegistrationId;

/** A client: GET /call fetches the orders of another API, with a token that is fetched, kept and renewed on the way. */
@RestController
class Call {
    private final RestClient api;

    Call(@Value("${WRIT_API}") String url, ClientRegistrationRepository registrations, OAuth2AuthorizedClientService tokens) {
        var manager = new AuthorizedClientServiceOAuth2AuthorizedClientManager(registrations, tokens);
        api = RestClient.builder().baseUrl(url).requestInterceptor(new OAuth2ClientHttpRequestInterceptor(manager)).build();
    }

    @GetMapping("/call")
    String call() {
        return api.get().uri("/orders").attributes(clientRegistrationId("writ")).retrieve().body(String.class);
    }
}
